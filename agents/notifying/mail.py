"""E-mail by SMTP (RFC 5321), encrypted unless the settings say otherwise."""

import asyncio
import smtplib
import ssl
from base64 import b64decode
from email.message import EmailMessage

from agents.notifying.outcomes import Delivered, Later, Never, Outcome
from agents.notifying.wording import facts, headline
from agents.settings import SmtpSettings
from schemas.moderation import Alert

_PERMANENT = 500
"""Replies from here on are for ever (RFC 5321, 4.2.1)."""


class Mailer:
    """Sends one message a connection: alerts are few."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings

    async def send(self, to: str, alert: Alert, message_id: str) -> Outcome:
        """Send an alert to a mailbox. Sent again, it has the same `Message-ID`."""
        return await asyncio.to_thread(self._send, self._message(to, alert, message_id))

    def _message(self, to: str, alert: Alert, message_id: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._settings.sender
        message["To"] = to
        message["Subject"] = f"[deepfake] {headline(alert)}"[:200]
        message["Date"] = alert.at
        message["Message-ID"] = f"<{message_id}@{self._settings.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(facts(alert))
        if self._settings.pictures and alert.picture is not None:
            picture = b64decode(alert.picture.jpeg)
            message.add_attachment(picture, maintype="image", subtype="jpeg", filename="face.jpg")
        return message

    def _send(self, message: EmailMessage) -> Outcome:
        settings = self._settings
        try:
            with self._connected() as client:
                if settings.username is not None and settings.password is not None:
                    client.login(settings.username, settings.password.get_secret_value())
                client.send_message(message)
        except smtplib.SMTPResponseException as error:
            said = f"{settings.host} answers {error.smtp_code}"
            return Never(said) if error.smtp_code >= _PERMANENT else Later(said)
        except smtplib.SMTPRecipientsRefused as error:
            ((code, _),) = error.recipients.values()
            said = f"{settings.host} refuses the mailbox with {code}"
            return Never(said) if code >= _PERMANENT else Later(said)
        except (smtplib.SMTPException, OSError) as error:
            return Later(f"{settings.host}: {type(error).__name__}")
        return Delivered(f"taken by {settings.host}")

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        context = ssl.create_default_context()
        if settings.security == "tls":
            return smtplib.SMTP_SSL(settings.host, settings.port, timeout=settings.timeout_s, context=context)
        client = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s)
        if settings.security == "starttls":
            try:
                client.starttls(context=context)
            except BaseException:
                client.close()
                raise
        return client

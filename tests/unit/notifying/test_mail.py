"""E-mail through a real SMTP server."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import SMTP, Envelope, Session

from agents.local.ports import LOOPBACK, choose_ports
from agents.notifying.mail import Mailer
from agents.notifying.outcomes import Delivered, Later, Never, Outcome
from agents.settings import SmtpSettings
from schemas.moderation import Picture
from tests.support.alerts import stream_alert


class Mailbox(Message):
    """Takes messages, or refuses them with a reply."""

    def __init__(self, reply: str = "") -> None:
        super().__init__()
        self.reply = reply
        self.raw: list[bytes] = []

    async def handle_RCPT(  # noqa: N802  (the server's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.reply:
            return self.reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content or b""
        self.raw.append(content if isinstance(content, bytes) else content.encode())
        return "250 OK"

    def handle_message(self, message: object) -> None:
        """Nothing: the bytes are kept."""


@contextmanager
def serving(mailbox: Mailbox) -> Iterator[int]:
    (port,) = choose_ports(1)
    controller = Controller(mailbox, hostname=LOOPBACK, port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def settings(port: int, **more: object) -> SmtpSettings:
    return SmtpSettings.model_validate(
        {"host": LOOPBACK, "port": port, "security": "none", "sender": "fleet@example.org", "timeout_s": 2, **more}
    )


def send(mailer: Mailer, **changed: object) -> Outcome:
    alert = stream_alert("show").model_copy(update=changed)
    return asyncio.run(mailer.send("safety@example.org", alert, "msg_1"))


def test_an_alert_arrives_with_its_facts_and_a_stable_id() -> None:
    mailbox = Mailbox()
    with serving(mailbox) as port:
        mailer = Mailer(settings(port))
        assert isinstance(send(mailer), Delivered)
        assert isinstance(send(mailer), Delivered)
    first, second = (message_from_bytes(raw, policy=policy.default) for raw in mailbox.raw)
    assert first["Message-ID"] == second["Message-ID"] == "<msg_1@example.org>"
    assert first["To"] == "safety@example.org"
    assert "show looks manipulated (high risk)" in first["Subject"]
    body = first.get_body()
    assert body is not None
    assert "score: 0.90" in body.get_content()
    assert [part.get_content_type() for part in first.iter_attachments()] == []


def test_a_picture_is_attached_only_where_it_is_wanted() -> None:
    mailbox = Mailbox()
    picture = Picture(pts_ms=0, score=0.9, jpeg="/9j/")
    with serving(mailbox) as port:
        send(Mailer(settings(port, pictures=True)), picture=picture)
        send(Mailer(settings(port)), picture=picture)
    kinds = [
        [part.get_content_type() for part in message_from_bytes(raw, policy=policy.default).iter_attachments()]
        for raw in mailbox.raw
    ]
    assert kinds == [["image/jpeg"], []]


def test_nothing_in_an_alert_becomes_a_header() -> None:
    mailbox = Mailbox()
    with serving(mailbox) as port:
        send(Mailer(settings(port)), content_id="x\r\nBcc: everybody@example.org", reason="a\r\n.\r\nQUIT\r\n")
    (message,) = (message_from_bytes(raw, policy=policy.default) for raw in mailbox.raw)
    assert message["Bcc"] is None
    assert "everybody" in message["Subject"]


@pytest.mark.parametrize(("reply", "outcome"), [("550 no such user", Never), ("451 try later", Later)])
def test_a_mailbox_that_is_refused_is_tried_again_only_where_that_can_help(reply: str, outcome: type[Outcome]) -> None:
    with serving(Mailbox(reply)) as port:
        assert isinstance(send(Mailer(settings(port))), outcome)


def test_a_server_that_is_away_or_speaks_no_tls_is_tried_again() -> None:
    (port,) = choose_ports(1)
    assert isinstance(send(Mailer(settings(port))), Later)
    with serving(Mailbox()) as plain:
        assert isinstance(send(Mailer(settings(plain, security="starttls"))), Later)

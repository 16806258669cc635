"""Who is told of an alert: webhooks, mailboxes and chats of everybody and of its tenant, and its stream's callback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from agents.notifying.signing import key_of
from agents.settings import HooksSettings, TellSettings
from schemas.moderation import Alert, Transition

Kind = Literal["webhook", "email", "notify"]
CALLBACK = "callback"
_EVERYBODY = "*"
_NOWHERE = SecretStr("")


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody who is told.

    Attributes:
        id: names it in retries and ids: stable, without secrets.
        kind: how.
        place: a host or a mailbox, as actions show it.
        url: of a webhook or chat.
        address: of a mailbox.
        keys: that webhooks are signed with.
        transitions: of which alerts.
    """

    id: str
    kind: Kind
    place: str
    url: SecretStr = _NOWHERE
    address: str = ""
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    transitions: frozenset[Transition] = frozenset(Transition)


class Targets:
    """Everybody that the settings name.

    Raises:
        SecretUnusable: a webhook's secret cannot be used.
    """

    def __init__(self, settings: HooksSettings) -> None:
        self._settings = settings
        self._of: Mapping[str, Sequence[Target]] = {
            _EVERYBODY: _targets(_EVERYBODY, settings.everybody),
            **{tenant: _targets(tenant, each) for tenant, each in settings.tenants.items()},
        }
        self._callback_keys = tuple(key_of(secret.get_secret_value()) for secret in settings.callback_secrets)

    def of(self, alert: Alert, callback: str | None) -> Sequence[Target]:
        """Return who is told of an alert.

        Args:
            alert: whose tenant counts.
            callback: the webhook that was asked for with its stream, if its host is allowed.
        """
        named = (*self._of[_EVERYBODY], *self._of.get(alert.tenant, ()))
        own = () if callback is None else self._callback(callback)
        return [target for target in (*named, *own) if alert.transition in target.transitions]

    def find(self, target_id: str, alert: Alert, callback: str | None) -> Target | None:
        """Return one of them by its id; none where the settings name it no more."""
        return next((target for target in self.of(alert, callback) if target.id == target_id), None)

    def _callback(self, url: str) -> Sequence[Target]:
        host = urlsplit(url).hostname or ""
        if host not in self._settings.callback_hosts or not self._callback_keys:
            return ()
        return (Target(CALLBACK, "webhook", host, SecretStr(url), keys=self._callback_keys),)


def _targets(tenant: str, settings: TellSettings) -> Sequence[Target]:
    webhooks = [
        Target(
            f"webhook:{tenant}:{name}",
            "webhook",
            _host(each.url),
            each.url,
            keys=tuple(key_of(secret.get_secret_value()) for secret in each.secrets),
            transitions=frozenset(map(Transition, each.transitions)),
        )
        for name, each in settings.webhooks.items()
    ]
    chats = [Target(f"notify:{tenant}:{name}", "notify", _host(url), url) for name, url in settings.chats.items()]
    mail = [Target(f"email:{tenant}:{to}", "email", to, address=to) for to in settings.mail_to]
    return (*webhooks, *chats, *mail)


def _host(url: SecretStr) -> str:
    return urlsplit(url.get_secret_value()).hostname or "?"

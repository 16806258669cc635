"""The models of a worker that operators may change while it runs."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import Lock
from time import monotonic

from agents.control.following import SwitchFollower
from agents.control.reports import REPORT_EVERY_S, Reporter
from agents.control.switches import choice_of, effective, follow, refusal
from agents.model_set import LoadedModels, selection
from agents.runtime.metrics import Metrics
from agents.settings import Settings
from models.exceptions import ModelError
from models.manifest import Role
from models.selection import Selection
from schemas.control import ModelSwitch, RefusedSwitch

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class SteeredModels(LoadedModels):
    """Models that follow `fleet.control`, make way and come back as memory allows, and say so on `fleet.workers`.

    Args:
        settings: of the process.
        metrics: see `LoadedModels`.
        agent: whose worker this is.
        now: the time.
    """

    def __init__(self, settings: Settings, metrics: Metrics, agent: str, now: Callable[[], datetime] = _now) -> None:
        super().__init__(settings.models, metrics)
        self._agent = agent
        self._preferred = selection(settings.models)
        self._refused: dict[Role, RefusedSwitch] = {}
        self._said: object = None
        self._report_at = self._tend_at = monotonic()
        self._tend_every_s = settings.models.memory_check_s
        self._reporter = Reporter(settings, agent, now)
        self._follower = SwitchFollower(settings.kafka, self._switch, self._turn)

    def open(self, wanted: Selection | None = None) -> None:
        """Load what was asked for, or where that does not load what the manifest prefers; then follow changes.

        Raises:
            ModelError: nothing can be loaded.
        """
        preferred = wanted or self._preferred
        switches = self._follower.first()
        followed = follow(preferred, switches, self._agent)
        self._refused = dict(followed.refused)
        try:
            super().open(followed.selection)
        except ModelError as error:
            if followed.selection.choices == preferred.choices:
                raise
            _log.warning("what was switched to does not load: %s; starting with the models of the manifest", error)
            super().open(preferred)
            self._switch(switches)
        self._follower.start()

    def _turn(self) -> None:
        now = monotonic()
        if now >= self._tend_at:
            self.serving.tend()
            self.measure()
            self._tend_at = now + self._tend_every_s
        served, refused = self.serving.served, list(self._refused.values())
        if (served, refused) != self._said or now >= self._report_at:
            self._reporter.tell(served, refused)
            self._said = (served, refused)
            self._report_at = now + REPORT_EVERY_S

    def _switch(self, switches: Sequence[ModelSwitch]) -> None:
        """Follow what holds of switches, or note why not."""
        for switch in effective(switches, self._agent, self._preferred):
            role, choice = Role(switch.role), choice_of(switch, self._preferred)
            try:
                if self.serving.selection.choices[role] != choice:
                    self.serving.switch(role, choice)
                    _log.info("%s gave role %s to %s", switch.by, role, _in_words(switch))
            except ModelError as error:
                _log.warning("%s asked for other models of role %s, the old ones stay: %s", switch.by, role, error)
                self._refused[role] = refusal(switch, error)
            else:
                self._refused.pop(role, None)

    def close(self) -> None:
        """Stop following, and let go of the models."""
        self._follower.close()
        self._reporter.close()
        super().close()


class PlannedModels:
    """Which models the workers of another agent are asked to serve with, for planning. Loads none.

    Args:
        settings: of the process.
        agent: whose workers.
    """

    def __init__(self, settings: Settings, agent: str) -> None:
        self._agent = agent
        self._preferred = selection(settings.models)
        self._selection = self._preferred
        self._lock = Lock()
        self._follower = SwitchFollower(settings.kafka, self._switch)

    def open(self) -> None:
        """Learn what was asked for, and follow changes."""
        self._switch(self._follower.first())
        self._follower.start()

    def fingerprint(self, media_id: str) -> str:
        """Return the fingerprint of the models that are to judge one media."""
        with self._lock:
            return self._selection.fingerprint(media_id)

    def _switch(self, switches: Sequence[ModelSwitch]) -> None:
        with self._lock:
            self._selection = follow(self._selection, switches, self._agent, self._preferred).selection

    def close(self) -> None:
        """Stop following."""
        self._follower.close()


def _in_words(switch: ModelSwitch) -> str:
    names = ", ".join(switch.models) or "the manifest's own"
    return (
        f"{names}, and {switch.canary_share:.0%} of the media to {', '.join(switch.canary)}" if switch.canary else names
    )

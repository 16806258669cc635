"""The demo, step by step: servers, topics, tables, models, media, agents, events, verdicts, rows."""

import json
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

from agents.demo.agents import DemoAgents
from agents.demo.exceptions import VerdictsLate
from agents.demo.media import DemoMedia, build
from agents.demo.pipeline import publish, upload_events
from agents.demo.rows import await_rows
from agents.demo.steps import create, pull, start
from agents.demo.view import DemoView
from agents.following import Follower, Uploads
from agents.local import EmbeddedStack
from agents.local.folder import RunFolder
from agents.preparation import embedded_stack, settings_at
from agents.runtime.clients import connection
from agents.runtime.deadline import Deadline
from agents.settings import Settings, load_settings
from schemas.media import MediaUpload
from topics.catalogue import UPLOADS

_AGENTS = ("uploads", "segments", "sink")
_READ_S = 0.1
_LOOK_S = 0.5
"""How often the agents are asked how they are, seconds."""
_ROWS_S = 15.0
"""How long the sink may take for what the verdict topic has already, seconds."""


def run(view: DemoView, *, keep: Path | None, timeout_s: float) -> None:
    """Run the demo; whatever happens, nothing that it started is left.

    Args:
        view: where it is shown.
        keep: a folder for copies of media, verdicts and logs.
        timeout_s: how long it may take until the last verdict, seconds.

    Raises:
        SettingsInvalid, LocalStackError, TopicError, MigrationFailed, ModelError: a step could not be taken.
        AgentStopped: an agent ended by itself.
        Unavailable: a server that was given is away.
        DemoError: verdicts or rows are missing or differ.
    """
    deadline = Deadline.after(timeout_s)
    folder = RunFolder()
    try:
        demo = Demo(view, folder.path, deadline)
        try:
            demo.run()
        except Exception:
            view.logs_kept(str(demo.copy_logs(Path(tempfile.mkdtemp(prefix="fleet-demo-logs-")))))
            raise
        if keep is not None:
            demo.copy_all(keep)
    finally:
        folder.close()
    view.done(len(demo.media))


class Demo:
    """One run of the demo in a folder of its own."""

    def __init__(self, view: DemoView, folder: Path, deadline: Deadline) -> None:
        self.media: tuple[DemoMedia, ...] = ()
        self._view = view
        self._deadline = deadline
        self._media_folder = folder / "media"
        self._logs = folder / "logs"
        self._servers = folder / "servers"
        for made in (self._media_folder, self._logs):
            made.mkdir()
        self._uploads = Uploads(())

    def run(self) -> None:
        """Take every step; what was started has ended when it returns, with or without an error."""
        with ExitStack() as undo:
            stack = embedded_stack(load_settings(), self._servers)
            undo.callback(stack.stop)
            start(self._view, stack)
            settings = settings_at(stack.urls)
            create(self._view, settings)
            pull(self._view, settings.models)
            with self._view.step("starting the agents") as step:
                # They load and join while the media are built.
                agents = undo.enter_context(DemoAgents(_AGENTS, self._environment(stack), self._logs))
                step.came = f"agents: {', '.join(_AGENTS)}, a process each"
            follower = undo.enter_context(Follower(settings.kafka))
            with self._view.step("building media from a photograph") as step:
                self.media = build(self._media_folder)
                step.came = "media: a clip and a still, untouched and with the face re-blended"
            self._publish(settings)
            self._follow(follower, agents)
            with self._view.step("reading the rows back") as step:
                until = Deadline.after(_ROWS_S)
                rows = await_rows(settings.postgres, self._uploads.verdicts, until)
                step.came = f"{len(rows)} rows with the verdicts' ids in Postgres"
            self._view.verdicts(self.media, self._uploads.verdicts)
            self._view.rows(rows)
            self._view.limits(self.media, self._uploads.verdicts)

    def copy_logs(self, target: Path) -> Path:
        """Copy every log to a folder, and return it."""
        for log in (*self._logs.glob("*.log"), *self._servers.glob("*.log")):
            shutil.copy(log, target)
        return target

    def copy_all(self, target: Path) -> None:
        """Copy media, verdicts and logs to a folder."""
        target.mkdir(parents=True, exist_ok=True)
        for media in self.media:
            shutil.copy(media.path, target)
        lines = "".join(f"{verdict.model_dump_json()}\n" for verdict in self._uploads.verdicts)
        (target / "verdicts.jsonl").write_text(lines)
        self.copy_logs(target)

    def _environment(self, stack: EmbeddedStack) -> dict[str, str]:
        return {
            **stack.urls.environment(),
            "FLEET_MEDIA__ALLOWED_ROOTS": json.dumps([str(self._media_folder)]),
            # They were fetched and checked: a worker that wants another one is in error.
            "FLEET_MODELS__OFFLINE": "true",
        }

    def _publish(self, settings: Settings) -> None:
        events = upload_events(self.media)
        self._uploads = Uploads(
            (media.path.name, MediaUpload.model_validate_json(json.dumps(event)))
            for media, event in zip(self.media, events, strict=True)
        )
        topic = settings.kafka.topic_prefix + UPLOADS.name
        with self._view.step("publishing upload events") as step:
            publish(events, connection(settings.kafka), topic)
            step.came = f"{len(events)} upload events published to {topic}"

    def _follow(self, follower: Follower, agents: DemoAgents) -> None:
        looked = 0.0
        states = agents.states()
        with self._view.following(self._uploads.all) as show:
            while not self._uploads.complete:
                agents.check()
                if self._deadline.expired:
                    late = ", ".join(f"{each.name} ({each.stage})" for each in self._uploads.all if not each.verdict)
                    raise VerdictsLate(f"no verdict in time: {late}")
                if monotonic() - looked >= _LOOK_S:
                    states, looked = agents.states(), monotonic()
                show(states)
                self._uploads.take(follower.read(_READ_S), monotonic())
            show(states)

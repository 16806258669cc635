"""`fleet submit`: upload events published as a content pipeline would, and followed to their verdicts."""

import json
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import monotonic

import typer
from pydantic import ValidationError
from rich.live import Live

from agents.cli.console import ERR, OUT, complain
from agents.cli.exits import ExitCode
from agents.cli.outcomes import exit_for, print_verdicts
from agents.following import Follower, Uploads
from agents.publishing import publish
from agents.report.progress import ProgressLines, UploadProgress
from agents.runtime.deadline import Deadline
from agents.settings import KafkaSettings, load_settings
from schemas.media import AnalysisOptions, DetectionLevel, MediaRef, MediaUpload, Priority
from topics.catalogue import UPLOADS
from topics.serialisation import explain

_URI = re.compile(r"[a-z][a-z0-9+.-]*://")
_READ_S = 0.1
_CONNECT_S = 10.0
"""How long the broker may take to answer at all, seconds."""


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """What to ask of the fleet, and how to wait for its answer."""

    level: str
    priority: str
    content_id: str | None
    tenant: str
    uploader_id: str
    sample_rate_fps: float
    detailed_timeline: bool
    timeout_s: float
    wait: bool
    as_json: bool
    fail_on_manipulated: bool


def submit(media: Sequence[str], options: SubmitOptions) -> None:
    """Publish an event for each medium; with `wait`, follow them.

    Raises:
        typer.BadParameter: a file is not there, or a value cannot be in an event.
        SettingsInvalid: a setting cannot be.
        NotPublishable: an event is too large.
        Unavailable: the broker is away.
        typer.Exit: verdicts did not come in time, or lead to another exit code than 0.
    """
    if options.content_id is not None and len(media) > 1:
        raise typer.BadParameter("--content-id names one content: give one PATH or URL with it")
    kafka = load_settings().kafka
    uploads = Uploads((reference, _event(reference, options)) for reference in media)
    if not options.wait:
        _publish(kafka, [upload.event for upload in uploads.all], options.timeout_s)
        _say_published(uploads, as_json=options.as_json)
        return
    # Reading begins before anything is published, so that the quickest verdict is not missed.
    with Follower(kafka, min(_CONNECT_S, options.timeout_s)) as follower:
        _publish(kafka, [upload.event for upload in uploads.all], options.timeout_s)
        _follow(follower, uploads, Deadline.after(options.timeout_s))
    named = [(upload.name, upload.verdict) for upload in uploads.all if upload.verdict is not None]
    print_verdicts(named, as_json=options.as_json, out=OUT)
    code = exit_for(uploads.verdicts, fail_on_manipulated=options.fail_on_manipulated)
    if not uploads.complete:
        late = ", ".join(f"{upload.name} ({upload.stage})" for upload in uploads.all if upload.verdict is None)
        complain(f"no verdict within {options.timeout_s:g} s: {late}")
        code = code if code is ExitCode.MANIPULATED else ExitCode.TIMED_OUT
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def _event(reference: str, options: SubmitOptions) -> MediaUpload:
    if _URI.match(reference):
        uri = reference
    else:
        file = Path(reference)
        if not file.is_file():
            raise typer.BadParameter(f"{reference} is no file and no URL")
        uri = file.resolve().as_uri()
    now = datetime.now(UTC)
    try:
        return MediaUpload(
            content_id=options.content_id or _content_id(uri, now),
            uploader_id=options.uploader_id,
            tenant=options.tenant,
            media=MediaRef(uri=uri),
            detection_level=DetectionLevel(options.level),
            priority=Priority(options.priority),
            options=AnalysisOptions(
                sample_rate_fps=options.sample_rate_fps, detailed_timeline=options.detailed_timeline
            ),
            uploaded_at=now,
        )
    except ValidationError as error:
        raise typer.BadParameter(explain(error)) from error


def _content_id(uri: str, now: datetime) -> str:
    """Return an id of this submission: publishing a file again is a new upload, as it is on a platform."""
    name = uri.partition("?")[0].rstrip("/").rpartition("/")[2]
    mark = sha256(f"{uri} {now.isoformat()}".encode()).hexdigest()[:8]
    return f"{name[:200]}-{mark}"


def _publish(kafka: KafkaSettings, events: Sequence[MediaUpload], timeout_s: float) -> None:
    with ERR.status(f"publishing to {kafka.bootstrap_servers}"):
        publish(kafka, UPLOADS, events, timeout_s)


def _follow(follower: Follower, uploads: Uploads, deadline: Deadline) -> None:
    """Read until every verdict is there or the time is over, showing how far each upload is."""
    started = monotonic()
    lines = ProgressLines(ERR, lambda: monotonic() - started)
    live = Live(UploadProgress(uploads.all), console=ERR, transient=True, refresh_per_second=10)
    with live if ERR.is_terminal else nullcontext():
        while not uploads.complete and not deadline.expired:
            uploads.take(follower.read(min(_READ_S, deadline.remaining_s)), deadline.clock())
            if not ERR.is_terminal:
                lines.tell(uploads.all)


def _say_published(uploads: Uploads, *, as_json: bool) -> None:
    for upload in uploads.all:
        event = upload.event
        told = {"content_id": event.content_id, "media_id": str(event.media_id), "uri": event.media.uri}
        if as_json:
            OUT.file.write(json.dumps(told) + "\n")
        else:
            OUT.print(f"published {event.content_id}  media {event.media_id}", markup=False, soft_wrap=True)
    OUT.file.flush()

"""What Redis remembers of a live stream: the faces of its last seconds, and how far its alert is.

A worker that scored frames hands them over in one step, `window.lua`, which adds them, lets go of what is old, and
moves the alert: whoever scores a frame, and however often it is read, the window and its transitions come out the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson
import redis

from agents.keyvalue import Call, Script
from agents.settings import RedisSettings
from schemas.moderation import Transition

_SCRIPTS = Path(__file__).parent
_DUE = "verdict"
"""What the script calls a verdict that is due."""
Phase = Literal["clear", "suspicious", "alerting"]


@dataclass(frozen=True, slots=True)
class WindowRules:
    """How much is remembered, and when a stream alerts. Times are those of the frames, milliseconds.

    Attributes:
        buffer_ms: how much time the window holds; what comes later than that is counted and left out.
        max_frames: frames that it holds at most.
        enter: score from which a stream is suspicious, in [0, 1].
        exit: score below which it is not any more; at most `enter`, or the alert would flicker.
        hold_ms: how long it must be suspicious without a break before it alerts.
        cooldown_ms: how long the score must stay below `exit` before an alert is cleared.
        min_faces: judged faces that a track needs to count.
        top_share: see `models.pooling.pool`.
        bands: least scores of the risk bands, ascending; a higher one than was alerted escalates the alert.
        same_face: intersection over union from which two boxes are the same face.
        gap_ms: a face that was not seen for longer is a new track.
        verdict_ms: a verdict is due for each stretch of so much time in which there was a frame.
        ttl_ms: how long the window of a stream that fell silent is kept.
    """

    buffer_ms: int = 30_000
    max_frames: int = 600
    enter: float = 0.8
    exit: float = 0.5
    hold_ms: int = 1_000
    cooldown_ms: int = 10_000
    min_faces: int = 3
    top_share: float = 0.3
    bands: tuple[float, ...] = (0.0, 0.5, 0.8, 0.95)
    same_face: float = 0.3
    gap_ms: int = 3_000
    verdict_ms: int = 10_000
    ttl_ms: int = 600_000

    def __post_init__(self) -> None:
        if not 0 <= self.exit <= self.enter <= 1:
            raise ValueError(f"exit {self.exit} and enter {self.enter} must ascend within 0 to 1")
        if min(self.buffer_ms, self.max_frames, self.min_faces, self.verdict_ms, self.ttl_ms) < 1:
            raise ValueError("buffer_ms, max_frames, min_faces, verdict_ms and ttl_ms must be at least 1")

    def to_json(self) -> bytes:
        """Return them as `window.lua` reads them."""
        return orjson.dumps(self)


@dataclass(frozen=True, slots=True)
class SeenFace:
    """A judged face: the calibrated logit of fake, and its box as shares of the frame, x0, y0, x1, y1."""

    logit: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """A scored frame of a stream.

    Attributes:
        seq: its number in the stream; the same number is the same frame.
        captured_ms: when it was captured, milliseconds since 1970.
        faces: those that were judged.
        cut: whether a new scene begins: its faces are on no earlier track.
        unread: whether its picture could not be read: nothing is known of its faces.
    """

    seq: int
    captured_ms: int
    faces: tuple[SeenFace, ...] = ()
    cut: bool = False
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """A transition of a stream's alert. The same frames always lead to the same ones.

    Attributes:
        seq: the frame that led to it.
        transition: what happened.
        episode: which alert of the stream: the second since 1970 in which it was raised, or the one after the last.
        band: which of `WindowRules.bands`, from 1.
        at_ms: time of the newest frame then.
        score: of the stream then, 0 where no track had enough evidence.
    """

    seq: int
    transition: Transition
    episode: int
    band: int
    at_ms: int
    score: float


@dataclass(frozen=True, slots=True)
class VerdictDue:
    """A stretch of `WindowRules.verdict_ms` is over. The same frames always lead to the same ones.

    Attributes:
        seq: the frame that ended it, the first of another stretch.
        at_ms: its time.
        score: of the stream then, with that frame; none where no track had enough evidence.
    """

    seq: int
    at_ms: int
    score: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of handing frames over.

    Attributes:
        added: frames that were new.
        replayed: frames that were there already.
        late: frames older than the window.
        renumbered: frames with the number of another one in the window; they are left out.
        phase: of the alert now.
        episode: the last alert, 0 before the first.
        score: of the worst track with enough evidence, in [0, 1]; none without one.
        track: its number.
        frames: in the window.
        faces: judged faces in it.
        unread: frames in it that could not be read.
        judged: frames in it with a judged face.
        mean: mean over frames with a face of the highest probability in each.
        peak: the highest.
        start_ms: time of the oldest frame.
        end_ms: time of the newest.
        moved: the transitions that these frames led to, now or when they were first handed over.
        due: the verdicts likewise.
    """

    added: int
    replayed: int
    late: int
    renumbered: int
    phase: Phase
    episode: int
    score: float | None
    track: int | None
    frames: int
    faces: int
    unread: int
    judged: int
    mean: float
    peak: float
    start_ms: int
    end_ms: int
    moved: tuple[Moved, ...]
    due: tuple[VerdictDue, ...]


@dataclass(frozen=True, slots=True)
class PastFrame:
    """A frame of the window, in short.

    Attributes:
        seq: its number.
        captured_ms: when it was captured, milliseconds since 1970.
        score: the highest probability of its faces; none where none was judged.
    """

    seq: int
    captured_ms: int
    score: float | None


class StreamWindows:
    """The windows of all streams."""

    def __init__(self, client: "redis.Redis", settings: RedisSettings) -> None:
        self._prefix = settings.key_prefix
        self._window = Script(client, (_SCRIPTS / "window.lua").read_text("utf-8"))
        self._lift = Script(client, (_SCRIPTS / "lift.lua").read_text("utf-8"))
        self._timeline = Script(client, (_SCRIPTS / "timeline.lua").read_text("utf-8"))

    def keys(self, stream_id: str) -> tuple[str, str, str]:
        """Return the keys of a stream's window; what else belongs to the stream shares their hash tag."""
        tag = f"{self._prefix}{{{stream_id}}}"
        return f"{tag}:window", f"{tag}:frames", f"{tag}:times"

    def add(self, stream_id: str, frames: Sequence[SeenFrame], rules: WindowRules) -> Outcome:
        """Hand over scored frames of one stream, in the order in which they were read.

        Raises:
            Unavailable: Redis is away.
        """
        return self.add_all({stream_id: (frames, rules)})[stream_id]

    def add_all(self, batches: Mapping[str, tuple[Sequence[SeenFrame], WindowRules]]) -> Mapping[str, Outcome]:
        """Hand over frames of several streams, in one round trip; each stream's are one step, whatever others' become.

        Raises:
            Unavailable: Redis is away. Some of them may have been added: handing all over again changes nothing.
        """
        answers = self._window.run_all(
            [
                Call(self.keys(stream_id), (rules.to_json(), _packed(frames)))
                for stream_id, (frames, rules) in batches.items()
            ]
        )
        return {stream_id: _outcome(answer) for stream_id, answer in zip(batches, answers, strict=True)}

    def lift(self, stream_id: str, episode: int) -> bool:
        """End an alert of a stream that is released from being blocked; whether that one was on.

        Raises:
            Unavailable: Redis is away.
        """
        return bool(self._lift.run(Call(self.keys(stream_id)[:1], (episode,))))

    def timeline(self, stream_id: str, most: int) -> Sequence[PastFrame]:
        """Return the latest frames of a stream's window, in order of time.

        Raises:
            Unavailable: Redis is away.
        """
        _, frames, times = self.keys(stream_id)
        found = orjson.loads(self._timeline.run(Call((frames, times), (most,))))
        # Lua does not tell an empty list from an empty object.
        return [PastFrame(seq, at_ms, score / 1e6 if score >= 0 else None) for seq, at_ms, score in found or ()]


def _packed(frames: Sequence[SeenFrame]) -> bytes:
    return orjson.dumps(
        [
            {
                "s": frame.seq,
                "t": frame.captured_ms,
                "c": frame.cut,
                "u": frame.unread,
                "f": [(face.logit, *face.box) for face in frame.faces],
            }
            for frame in frames
        ]
    )


def _outcome(answer: bytes) -> Outcome:
    found = orjson.loads(answer)
    # Lua does not tell an empty list from an empty object.
    told = found.pop("transitions") or ()
    moved = tuple(Moved(seq, Transition(kind), *rest) for seq, kind, *rest in told if kind != _DUE)
    due = tuple(
        VerdictDue(seq, at_ms, score if score >= 0 else None) for seq, kind, _, _, at_ms, score in told if kind == _DUE
    )
    return Outcome(**found, moved=moved, due=due)

"""The window of a stream in plain Python, reckoned anew from all frames: what `window.lua` must agree with."""

from dataclasses import dataclass, field

from agents.live.stream_window import Moved, Phase, SeenFace, SeenFrame, VerdictDue, WindowRules
from models.pooling import pool, sigmoid
from schemas.moderation import Transition


@dataclass(slots=True)
class _Kept:
    frame: SeenFrame
    tracks: list[int]


@dataclass(slots=True)
class ReferenceWindow:
    """A window of one stream, frame by frame."""

    rules: WindowRules
    kept: list[_Kept] = field(default_factory=list)
    tracks: int = 0
    scene: int = 0
    horizon: int = -1
    newest: int = -1
    phase: Phase = "clear"
    since: int = 0
    below: int = -1
    episode: int = 0
    band: int = 0
    moved: list[Moved] = field(default_factory=list)
    stretch: int = -1
    due: list[VerdictDue] = field(default_factory=list)
    renumbered: int = 0
    last: dict[int, tuple[int, SeenFace]] = field(default_factory=dict)
    """When and where a track was last seen."""

    def add(self, frame: SeenFrame) -> list[Moved]:
        """Take a frame; return the transitions that it led to."""
        known = [kept.frame for kept in self.kept if kept.frame.seq == frame.seq]
        if known and known[0].captured_ms != frame.captured_ms:
            self.renumbered += 1
            return []
        if known:
            return [each for each in self.moved if each.seq == frame.seq]
        if frame.captured_ms <= self.horizon or frame.captured_ms < self.newest - self.rules.buffer_ms:
            return []
        tracks = self._linked(frame)
        self.kept.append(_Kept(frame, tracks))
        self.kept.sort(key=lambda kept: (kept.frame.captured_ms, kept.frame.seq))
        self.newest = max(self.newest, frame.captured_ms)
        self._evict()
        return self._step(frame.seq)

    @property
    def worst(self) -> tuple[float, int] | None:
        """Probability and number of the worst track with enough evidence."""
        logits: dict[int, list[float]] = {}
        for kept in self.kept:
            for track, face in zip(kept.tracks, kept.frame.faces, strict=True):
                logits.setdefault(track, []).append(face.logit)
        enough = [
            (pool(values, self.rules.top_share), -track)
            for track, values in logits.items()
            if len(values) >= self.rules.min_faces
        ]
        if not enough:
            return None
        logit, track = max(enough)
        return sigmoid(logit), -track

    def _linked(self, frame: SeenFrame) -> list[int]:
        if frame.cut:
            self.scene = self.tracks
        pairs = sorted(
            (-_overlap(before, face), track, place)
            for track, (seen_ms, before) in self.last.items()
            if track >= self.scene and abs(frame.captured_ms - seen_ms) <= self.rules.gap_ms
            for place, face in enumerate(frame.faces)
            if _overlap(before, face) >= self.rules.same_face
        )
        given: dict[int, int] = {}
        for _, track, place in pairs:
            if track not in given.values() and place not in given:
                given[place] = track
        for place, face in enumerate(frame.faces):
            if place not in given:
                given[place] = self.tracks
                self.tracks += 1
            if given[place] not in self.last or self.last[given[place]][0] <= frame.captured_ms:
                self.last[given[place]] = frame.captured_ms, face
        return [given[place] for place in range(len(frame.faces))]

    def _evict(self) -> None:
        oldest = self.newest - self.rules.buffer_ms
        while len(self.kept) > self.rules.max_frames or self.kept[0].frame.captured_ms < oldest:
            self.horizon = max(self.horizon, self.kept.pop(0).frame.captured_ms)

    def _step(self, seq: int) -> list[Moved]:
        before = len(self.moved)
        score = self.worst[0] if self.worst else 0.0
        if self.phase == "clear" and score >= self.rules.enter:
            self.phase, self.since = "suspicious", self.newest
        if self.phase == "suspicious":
            if score < self.rules.exit:
                self.phase = "clear"
            elif self.newest - self.since >= self.rules.hold_ms:
                self.phase, self.below = "alerting", -1
                self.episode = max(self.episode + 1, self.newest // 1000)
                self.band = self._band(score)
                self._tell(seq, Transition.RAISED, score)
        elif self.phase == "alerting":
            self._while_alerting(seq, score)
        stretch = self.newest // self.rules.verdict_ms
        if 0 <= self.stretch < stretch:
            self.due.append(VerdictDue(seq, self.newest, self.worst[0] if self.worst else None))
        self.stretch = max(stretch, self.stretch)
        return self.moved[before:]

    def _while_alerting(self, seq: int, score: float) -> None:
        if score >= self.rules.exit:
            self.below = -1
            if self._band(score) > self.band:
                self.band = self._band(score)
                self._tell(seq, Transition.ESCALATED, score)
            return
        if self.below < 0:
            self.below = self.newest
        if self.newest - self.below >= self.rules.cooldown_ms:
            self.phase, self.below = "clear", -1
            self._tell(seq, Transition.CLEARED, score)

    def _band(self, score: float) -> int:
        return sum(score >= least for least in self.rules.bands)

    def _tell(self, seq: int, transition: Transition, score: float) -> None:
        self.moved.append(Moved(seq, transition, self.episode, self.band, self.newest, score))


def _overlap(a: SeenFace, b: SeenFace) -> float:
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = [(face.box[2] - face.box[0]) * (face.box[3] - face.box[1]) for face in (a, b)]
    return both / (sum(areas) - both)

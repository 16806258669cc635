"""The window of a stream in Redis agrees with one in plain Python, whatever is read again, late or in other calls."""

from collections.abc import Iterator, Sequence
from uuid import uuid4

import pytest
import redis
from hypothesis import given, settings, strategies as st
from redis.crc import key_slot

from agents.keyvalue import connect
from agents.live.stream_window import (
    Moved,
    Outcome,
    PastFrame,
    SeenFace,
    SeenFrame,
    StreamWindows,
    VerdictDue,
    WindowRules,
)
from agents.runtime.exceptions import Unavailable
from agents.settings import RedisSettings
from models.pooling import logit
from schemas.moderation import Transition
from tests.support.reference_window import ReferenceWindow

RULES = WindowRules(buffer_ms=5_000, max_frames=12, hold_ms=1_000, cooldown_ms=2_000, min_faces=2)
START_MS = 1_790_000_000_000
LEFT, RIGHT = (0.1, 0.1, 0.4, 0.5), (0.6, 0.1, 0.9, 0.5)
RAISED, ESCALATED, CLEARED = Transition.RAISED, Transition.ESCALATED, Transition.CLEARED


@pytest.fixture(scope="module")
def client(server_environment: dict[str, str]) -> Iterator["redis.Redis"]:
    connected = connect(RedisSettings.model_validate({"url": server_environment["FLEET_REDIS__URL"]}))
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def windows(client: "redis.Redis") -> StreamWindows:
    return StreamWindows(client, RedisSettings(key_prefix=f"w{uuid4().hex[:8]}:"))


def seen(second: float, *scores: float, seq: int | None = None, cut: bool = False) -> SeenFrame:
    """A frame at a second, its number ten times that, with faces at the left and the right."""
    faces = tuple(SeenFace(logit(score), box) for score, box in zip(scores, (LEFT, RIGHT), strict=False))
    return SeenFrame(round(10 * second) if seq is None else seq, START_MS + round(1000 * second), faces, cut)


def handed(
    windows: StreamWindows, calls: Sequence[Sequence[SeenFrame]], rules: WindowRules = RULES
) -> tuple[Outcome, list[Moved]]:
    """The last outcome of a stream of its own, and all transitions."""
    stream = uuid4().hex
    moved: list[Moved] = []
    for call in calls:
        outcome = windows.add(stream, call, rules)
        moved += outcome.moved
    return outcome, moved


def all_due(windows: StreamWindows, calls: Sequence[Sequence[SeenFrame]], rules: WindowRules) -> list[VerdictDue]:
    """All verdicts that come due in a stream of its own, each once."""
    stream = uuid4().hex
    found = [due for call in calls for due in windows.add(stream, call, rules).due]
    return list(dict.fromkeys(found))


def told(moved: Sequence[Moved]) -> list[tuple[Transition, int, float]]:
    """Transition, episode, and second."""
    return [(each.transition, each.episode, (each.at_ms - START_MS) / 1000) for each in moved]


def steady(score: float, since: float, until: float) -> list[SeenFrame]:
    """Four frames a second of one face."""
    return [seen(since + quarter / 4, score) for quarter in range(round(4 * (until - since)))]


class TestAlert:
    def test_it_is_raised_when_a_stream_has_been_suspicious_for_long_enough(self, windows: StreamWindows) -> None:
        outcome, moved = handed(windows, [steady(0.9, 0, 2)])
        second = START_MS // 1000 + 1
        assert told(moved) == [(RAISED, second, 1.25)], "two faces are evidence at 0.25, one second later it is held"
        assert (outcome.phase, outcome.episode) == ("alerting", second)
        assert outcome.score == pytest.approx(0.9)
        assert moved[0].band == 3

    def test_one_wrong_frame_is_no_alert(self, windows: StreamWindows) -> None:
        outcome, moved = handed(windows, [[*steady(0.1, 0, 3), seen(3, 0.99), *steady(0.1, 3.25, 5)]])
        assert (moved, outcome.phase) == ([], "clear")

    def test_it_escalates_once_for_each_band(self, windows: StreamWindows) -> None:
        _, moved = handed(windows, [[*steady(0.85, 0, 2), *steady(0.999, 2, 6), *steady(0.85, 6, 7)]])
        assert [each.transition for each in moved] == [RAISED, ESCALATED]
        assert [each.band for each in moved] == [3, 4]

    def test_it_is_cleared_only_after_a_while_below(self, windows: StreamWindows) -> None:
        _, moved = handed(windows, [[*steady(0.9, 0, 2), *steady(0.02, 2, 12)]], RULES)
        assert [each.transition for each in moved] == [RAISED, CLEARED]
        assert moved[1].at_ms - moved[0].at_ms >= RULES.cooldown_ms

    def test_another_alert_is_another_episode(self, windows: StreamWindows) -> None:
        again = [*steady(0.9, 0, 2), *steady(0.02, 2, 12), *steady(0.9, 12, 18)]
        _, moved = handed(windows, [again])
        assert [each.transition for each in moved] == [RAISED, CLEARED, RAISED]
        assert moved[0].episode == moved[1].episode < moved[2].episode

    def test_another_alert_within_the_same_second_has_the_next_number(self, windows: StreamWindows) -> None:
        rules = WindowRules(buffer_ms=50, hold_ms=0, cooldown_ms=0, min_faces=1)
        flicker = [seen(tenth / 10, 0.9 if tenth % 4 == 0 else 0.1) for tenth in range(9)]
        _, moved = handed(windows, [flicker], rules)
        raised = [each.episode for each in moved if each.transition is RAISED]
        assert raised == [START_MS // 1000, START_MS // 1000 + 1, START_MS // 1000 + 2]

    def test_a_stream_without_faces_is_cleared_in_time(self, windows: StreamWindows) -> None:
        empty = [seen(2 + quarter / 4) for quarter in range(40)]
        _, moved = handed(windows, [[*steady(0.9, 0, 2), *empty]])
        assert [each.transition for each in moved] == [RAISED, CLEARED]

    def test_few_faces_are_no_evidence(self, windows: StreamWindows) -> None:
        outcome, moved = handed(windows, [[seen(0, 0.99)]])
        assert (outcome.score, outcome.track, moved) == (None, None, [])

    def test_one_that_is_lifted_is_over_and_what_comes_next_alerts_anew(self, windows: StreamWindows) -> None:
        stream = uuid4().hex
        (raised,) = windows.add(stream, steady(0.9, 0, 2), RULES).moved
        assert not windows.lift(stream, raised.episode - 1)
        assert windows.lift(stream, raised.episode)
        assert not windows.lift(stream, raised.episode), "it is over already"
        (again,) = windows.add(stream, steady(0.9, 2, 5), RULES).moved
        assert again.transition is RAISED
        assert again.episode > raised.episode
        assert not windows.lift("unknown", 1)


class TestWindow:
    def test_the_worst_face_counts_and_a_calm_one_beside_it_does_not_clear_it(self, windows: StreamWindows) -> None:
        outcome, _ = handed(windows, [[seen(second / 4, 0.05, 0.9) for second in range(6)]])
        assert (outcome.track, outcome.faces, outcome.frames) == (1, 12, 6)
        assert outcome.score == pytest.approx(0.9)
        assert outcome.mean == pytest.approx(0.9)
        assert outcome.peak == pytest.approx(0.9)

    def test_a_cut_begins_new_tracks(self, windows: StreamWindows) -> None:
        outcome, _ = handed(windows, [[seen(0, 0.9), seen(0.1, 0.9), seen(0.2, 0.9, cut=True)]])
        assert outcome.track == 0
        outcome, _ = handed(windows, [[seen(0, 0.1), seen(0.1, 0.1), seen(0.2, 0.9, cut=True), seen(0.3, 0.9)]])
        assert outcome.track == 1

    def test_old_frames_go_by_time_and_by_count(self, windows: StreamWindows) -> None:
        outcome, _ = handed(windows, [[seen(second, 0.5) for second in range(10)]])
        assert (outcome.frames, outcome.start_ms, outcome.end_ms) == (6, START_MS + 4_000, START_MS + 9_000)
        outcome, _ = handed(windows, [[seen(tenth / 10, 0.5) for tenth in range(40)]])
        assert outcome.frames == RULES.max_frames

    def test_late_frames_count_within_the_buffer_and_are_counted_beyond(self, windows: StreamWindows) -> None:
        frames = [seen(6, 0.5), seen(3, 0.5), seen(0.5, 0.5)]
        outcome, _ = handed(windows, [frames])
        assert (outcome.added, outcome.late, outcome.frames) == (2, 1, 2)

    def test_a_frame_read_again_changes_nothing_and_tells_again(self, windows: StreamWindows) -> None:
        frames = steady(0.9, 0, 2)
        stream = uuid4().hex
        first = windows.add(stream, frames, RULES)
        again = windows.add(stream, frames[4:], RULES)
        assert (again.added, again.replayed) == (0, 4)
        assert again.moved == first.moved
        assert (again.score, again.frames, again.phase) == (first.score, first.frames, first.phase)
        assert windows.add(stream, frames[:4], RULES).moved == ()

    def test_what_is_evicted_does_not_come_back(self, windows: StreamWindows) -> None:
        stream = uuid4().hex
        frames = [seen(tenth / 10, 0.5) for tenth in range(20)]
        windows.add(stream, frames, RULES)
        again = windows.add(stream, frames[:5], RULES)
        assert (again.added, again.late, again.frames) == (0, 5, RULES.max_frames)

    def test_another_frame_of_a_number_that_is_taken_is_left_out_and_counted(self, windows: StreamWindows) -> None:
        outcome, _ = handed(windows, [[seen(0, 0.5, seq=7), seen(1, 0.9, seq=7), seen(2, 0.5, seq=3)]])
        assert (outcome.added, outcome.renumbered, outcome.frames) == (2, 1, 2)

    def test_frames_that_cannot_be_read_are_told_from_those_without_a_face(self, windows: StreamWindows) -> None:
        unread = [SeenFrame(seq, START_MS + 100 * seq, unread=True) for seq in (3, 4, 5)]
        outcome, _ = handed(windows, [[seen(0, 0.5, seq=0), seen(0.1, seq=1), *unread]])
        assert (outcome.frames, outcome.unread, outcome.judged, outcome.faces) == (5, 3, 1, 1)
        outcome, _ = handed(windows, [[*unread, seen(9, 0.5, seq=90)]])
        assert (outcome.frames, outcome.unread) == (1, 0)

    def test_a_verdict_is_due_once_for_each_stretch_of_time(self, windows: StreamWindows) -> None:
        stream = uuid4().hex
        rules = WindowRules(verdict_ms=10_000, min_faces=2)
        frames = [seen(second, 0.7) for second in (0, 1, 9, 10, 11, 35)]
        outcome = windows.add(stream, frames[:5], rules)
        assert [(due.seq, due.at_ms) for due in outcome.due] == [(100, START_MS + 10_000)]
        assert outcome.due[0].score == pytest.approx(0.7)
        again = windows.add(stream, frames[3:], rules).due
        assert [(due.seq, due.at_ms) for due in again] == [(100, START_MS + 10_000), (350, START_MS + 35_000)]
        _, moved = handed(windows, [frames], rules)
        assert moved == []

    def test_a_verdict_on_too_little_has_no_score(self, windows: StreamWindows) -> None:
        outcome, _ = handed(windows, [[seen(9, 0.9), seen(10)]], WindowRules(verdict_ms=10_000))
        assert [each.score for each in outcome.due] == [None]

    def test_the_latest_frames_can_be_told(self, windows: StreamWindows) -> None:
        stream = uuid4().hex
        assert windows.timeline(stream, 3) == []
        windows.add(stream, [seen(0, 0.9), seen(2), seen(1, 0.25, 0.5), seen(3, 0.1)], RULES)
        assert windows.timeline(stream, 3) == [
            PastFrame(10, START_MS + 1_000, 0.5),
            PastFrame(20, START_MS + 2_000, None),
            PastFrame(30, START_MS + 3_000, 0.1),
        ]

    def test_streams_do_not_mix(self, windows: StreamWindows) -> None:
        here, there = uuid4().hex, uuid4().hex
        outcomes = windows.add_all({here: (steady(0.9, 0, 2), RULES), there: (steady(0.1, 0, 2), RULES)})
        assert (outcomes[here].phase, outcomes[there].phase) == ("alerting", "clear")

    def test_all_of_a_stream_lies_in_one_slot_of_a_cluster(self, windows: StreamWindows) -> None:
        assert len({key_slot(key.encode()) for key in windows.keys("live-0815")}) == 1

    def test_a_silent_streams_window_goes(self, windows: StreamWindows, client: "redis.Redis") -> None:
        stream = uuid4().hex
        windows.add(stream, [seen(0, 0.5)], RULES)
        for key in windows.keys(stream):
            left = client.pttl(key)
            assert RULES.ttl_ms - 60_000 < left <= RULES.ttl_ms

    def test_a_window_takes_less_than_64_kib(self, windows: StreamWindows, client: "redis.Redis") -> None:
        stream = uuid4().hex
        rules = WindowRules(buffer_ms=30_000)
        windows.add(stream, [seen(fifth / 5, 0.51, 0.49, seq=fifth) for fifth in range(200)], rules)
        assert sum(client.memory_usage(key) or 1 << 20 for key in windows.keys(stream)) < 64 << 10


FACES = st.builds(
    SeenFace,
    st.floats(-6, 6).map(lambda value: round(value, 3)),
    st.sampled_from([LEFT, RIGHT, (0.12, 0.1, 0.42, 0.5), (0.3, 0.1, 0.6, 0.5), (0.0, 0.0, 1.0, 1.0)]),
)
FRAMES = st.lists(
    st.builds(
        SeenFrame,
        st.integers(0, 60),
        st.integers(0, 12_000).map(lambda late: START_MS + late),
        st.lists(FACES, max_size=3).map(tuple),
        st.sampled_from([False] * 9 + [True]),
    ),
    min_size=1,
    max_size=60,
)
ODD_RULES = st.builds(
    WindowRules,
    buffer_ms=st.sampled_from([500, 5_000, 30_000]),
    max_frames=st.sampled_from([1, 7, 600]),
    enter=st.sampled_from([0.5, 0.8]),
    exit=st.sampled_from([0.2, 0.5]),
    hold_ms=st.sampled_from([0, 1_000]),
    cooldown_ms=st.sampled_from([0, 1_500]),
    min_faces=st.sampled_from([1, 3]),
    verdict_ms=st.sampled_from([700, 10_000]),
)


@settings(max_examples=150, deadline=None)
@given(frames=FRAMES, rules=ODD_RULES, ordered=st.booleans(), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_redis_agrees_with_plain_python_however_frames_are_gathered(
    windows: StreamWindows, frames: list[SeenFrame], rules: WindowRules, ordered: bool, sizes: list[int]
) -> None:
    if ordered:
        frames = sorted(frames, key=lambda frame: frame.captured_ms)
    reference = ReferenceWindow(rules)
    expected = [moved for frame in frames for moved in reference.add(frame)]
    calls: list[list[SeenFrame]] = []
    at = 0
    while at < len(frames):
        size = sizes[len(calls) % len(sizes)]
        calls.append(frames[at : at + size])
        at += size
    outcome, moved = handed(windows, calls, rules)
    assert [(each.seq, each.transition, each.episode, each.band, each.at_ms) for each in moved] == [
        (each.seq, each.transition, each.episode, each.band, each.at_ms) for each in expected
    ]
    assert [each.score for each in moved] == pytest.approx([each.score for each in expected], abs=1e-9)
    assert (outcome.phase, outcome.episode, outcome.frames) == (
        reference.phase,
        reference.episode,
        len(reference.kept),
    )
    due = all_due(windows, calls, rules)
    assert [(each.seq, each.at_ms) for each in due] == [(each.seq, each.at_ms) for each in reference.due]
    assert [each.score is None for each in due] == [each.score is None for each in reference.due]
    worst = reference.worst
    assert outcome.track == (None if worst is None else worst[1])
    assert worst is None or outcome.score == pytest.approx(worst[0], abs=1e-9)


@pytest.mark.parametrize("wrong", [{"enter": 0.4, "exit": 0.5}, {"exit": -0.1}, {"enter": 1.1}, {"min_faces": 0}])
def test_rules_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must (ascend|be at least 1)"):
        WindowRules(**wrong)  # type: ignore[arg-type]


def test_redis_that_is_away_is_said() -> None:
    nowhere = RedisSettings.model_validate({"url": "redis://127.0.0.1:1/0"})
    with pytest.raises(Unavailable, match="redis is away"):
        StreamWindows(connect(nowhere), nowhere).add("stream", [seen(0, 0.5)], RULES)

"""What the windows of live streams cost Redis: frames a second of one core, and memory a stream."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import cast

import redis

from agents.keyvalue import connect
from agents.live.stream_window import SeenFace, SeenFrame, StreamWindows, WindowRules
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from tests.support.fleet import Fleet

_STREAMS = 200
_AT_ONCE = 25
"""Streams in a round trip, as a worker has when it scores batches across streams."""
_FPS = 5
_START_MS = 1_790_000_000_000
_RULES = WindowRules(buffer_ms=30_000)
_BOXES = ((0.1, 0.1, 0.4, 0.5), (0.6, 0.1, 0.9, 0.5), (0.3, 0.5, 0.5, 0.9))


def measure(run: Run) -> Section:
    """Measure full windows, with frames handed over one by one and several at once."""
    with run.servers.fleet() as fleet:
        client = connect(fleet.settings.redis)
        windows = StreamWindows(client, fleet.settings.redis)
        paces = tuple(_pace(run, client, windows, at_once) for at_once in (1, 4, 16))
        sizes = tuple(_size(run, fleet, client, windows, faces) for faces in (1, 3))
        client.close()
    return Section(
        "Windows of live streams",
        (
            Table(
                "Frames a second into windows of 30 s at 5 frames a second",
                ("frames of a stream at once", "frames/s", "Redis CPU us a frame", "frames/s of a core", "of bare SET"),
                paces,
                f"{_STREAMS} streams, {_AT_ONCE} of them in a round trip, one face a frame, by one client of one "
                "connection. Redis looks at each frame by itself: adds it, lets go of what is old, reckons the worst "
                "track and moves the alert. Beside it the same client writes the same frames by SET, one key a frame. "
                "A core's frames are what the server's processor time allows; the client is slower than that.",
            ),
            Table(
                "Memory of a stream, 30 s at 5 frames a second",
                ("faces a frame", "bytes"),
                sizes,
                "MEMORY USAGE of the three keys that a stream has.",
            ),
        ),
    )


def _pace(run: Run, client: "redis.Redis", windows: StreamWindows, at_once: int) -> tuple[str, ...]:
    ours, bare, processor = [], [], []
    for repetition in range(run.amount(3, 1)):
        run.tell(f"windows: {at_once} frames at once, {repetition + 1}")
        names = [f"{at_once}-{repetition}-{number}" for number in range(_STREAMS)]
        full = _RULES.buffer_ms * _FPS // 1000
        _hand(windows, names, 0, full, 30)
        before, began = _processor_s(client), perf_counter()
        count = _hand(windows, names, full, full + run.amount(160, 16), at_once)
        took = perf_counter() - began
        ours.append(count / took)
        processor.append(1e6 * (_processor_s(client) - before) / count)
        bare.append(_plain(client, count))
    cpu = Samples(tuple(processor))
    return (
        str(at_once),
        Samples(tuple(ours)).text(),
        cpu.text(1),
        Samples(tuple(1e6 / value for value in processor)).text(),
        Samples(tuple(ours)).over(Samples(tuple(bare))).text(2),
    )


def _hand(windows: StreamWindows, names: Sequence[str], since: int, until: int, at_once: int) -> int:
    """Hand frames `since` to `until` of every stream over; return how many that were."""
    for first in range(since, until, at_once):
        frames = [_frame(number) for number in range(first, min(first + at_once, until))]
        for group in range(0, len(names), _AT_ONCE):
            windows.add_all(dict.fromkeys(names[group : group + _AT_ONCE], (frames, _RULES)))
    return len(names) * (until - since)


def _plain(client: "redis.Redis", count: int) -> float:
    """Frames a second by SET, so many in a round trip as windows are."""
    value = b"x" * 64
    began = perf_counter()
    for first in range(0, count, _AT_ONCE):
        with client.pipeline(transaction=False) as pipeline:
            for number in range(first, min(first + _AT_ONCE, count)):
                pipeline.set(f"plain-{number % 4096}", value, px=60_000)
            pipeline.execute()
    return count / (perf_counter() - began)


def _size(run: Run, fleet: Fleet, client: "redis.Redis", windows: StreamWindows, faces: int) -> tuple[str, str]:
    run.tell(f"windows: memory with {faces} faces a frame")
    name = f"{fleet.name}-{faces}"
    windows.add(name, [_frame(number, faces) for number in range(_RULES.buffer_ms * _FPS // 1000)], _RULES)
    return str(faces), f"{sum(client.memory_usage(key) or 0 for key in windows.keys(name)):,}"


def _frame(number: int, faces: int = 1) -> SeenFrame:
    seen = tuple(SeenFace(-2.0 + (number * 37 % 100) / 50, box) for box in _BOXES[:faces])
    return SeenFrame(number, _START_MS + number * 1000 // _FPS, seen)


def _processor_s(client: "redis.Redis") -> float:
    info = cast("Mapping[str, float]", client.info("cpu"))
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])

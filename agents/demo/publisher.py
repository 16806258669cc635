"""Somebody who publishes a clip to a live server, over and over, at the pace of a camera."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Condition, Thread
from time import monotonic
from types import TracebackType
from typing import Literal, Self

import av
from av.error import FFmpegError

PublisherState = Literal["connecting", "publishing", "refused", "ended"]

_TIMEOUT_S = 10.0
"""How long the server may take for an answer, seconds."""
_LONGEST_PAUSE_S = 0.05
"""How late a stop is noticed, seconds."""


class Publisher:
    """Publishes while it is entered, in a thread. One that is refused or dropped connects again, or ends.

    Args:
        clip: a video file; its packets are sent as they are.
        url: where to, `rtmp://…/application/name`.
        again_after_s: after how long it connects again; none ends it.
    """

    def __init__(self, clip: Path, url: str, again_after_s: float | None = None) -> None:
        self.url = url
        self._clip = clip
        self._again_after_s = again_after_s
        self._changed = Condition()
        self._state: PublisherState = "connecting"
        self._refusals = 0
        self._sent = 0
        self._detail = ""
        self._stopping = False
        self._thread = Thread(target=self._publish, name=f"publisher of {url}", daemon=True)

    @property
    def state(self) -> PublisherState:
        """How it goes: `refused` also means dropped, and stands until it tries again."""
        with self._changed:
            return self._state

    @property
    def refusals(self) -> int:
        """How often the server refused or dropped it."""
        with self._changed:
            return self._refusals

    @property
    def detail(self) -> str:
        """What was said at the last refusal."""
        with self._changed:
            return self._detail

    @property
    def sent(self) -> int:
        """Packets that the server has taken."""
        with self._changed:
            return self._sent

    def await_publishing(self, timeout_s: float = 30.0) -> None:
        """Wait until the server has taken packets.

        Raises:
            TimeoutError: it has not.
        """
        self._await(lambda: self._state == "publishing" and self._sent > 0, "publishing", timeout_s)

    def await_refused(self, times: int = 1, timeout_s: float = 30.0) -> None:
        """Wait until it was refused or dropped so often.

        Raises:
            TimeoutError: it was not.
        """
        self._await(lambda: self._refusals >= times, f"refused {times} times", timeout_s)

    def _await(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                raise TimeoutError(f"{self.url}: not {what} within {timeout_s:g} s, but {self._state}: {self._detail}")

    def _publish(self) -> None:
        while not self._stopping:
            self._enter("connecting")
            try:
                self._connect_and_send()
            except FFmpegError as error:
                with self._changed:
                    self._refusals += 1
                    self._detail = str(error)
                self._enter("refused")
            if self._again_after_s is None or not self._wait(monotonic() + self._again_after_s):
                break
        if self._stopping:
            self._enter("ended")

    def _connect_and_send(self) -> None:
        with av.open(str(self._clip)) as source:
            (template, *_) = source.streams.video
            with av.open(
                self.url, "w", format="flv", options={"flvflags": "no_duration_filesize"}, timeout=_TIMEOUT_S
            ) as target:
                stream = target.add_stream_from_template(template)
                started = monotonic()
                for packet, at_s in _packets(source, template):
                    if not self._wait(started + at_s):
                        return
                    packet.stream = stream
                    target.mux(packet)
                    with self._changed:
                        self._sent += 1
                        self._state = "publishing"
                        self._changed.notify_all()

    def _wait(self, until: float) -> bool:
        """Wait until a moment; false if it is to stop."""
        with self._changed:
            while not self._stopping and (left := until - monotonic()) > 0:
                self._changed.wait(min(left, _LONGEST_PAUSE_S))
            return not self._stopping

    def _enter(self, state: PublisherState) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def stop(self) -> None:
        """End publishing."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _packets(
    source: "av.container.InputContainer", video: "av.VideoStream"
) -> Iterator[tuple["av.Packet[av.VideoStream]", float]]:
    """Yield the packets of a clip over and over, with times that go on, and when each is due in seconds."""
    offset = 0
    while True:
        end = 0
        for packet in source.demux(video):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            packet.dts += offset
            packet.pts += offset
            end = max(end, packet.dts + (packet.duration or 1))
            yield packet, float(packet.dts * packet.time_base)
        offset = end
        source.seek(0)

"""The process of a publisher: sends a clip's pictures, or a sound, to a live server over and over, at a camera's pace.

Run as `python -m agents.demo.publishing CLIP URL AGAIN_AFTER_S`; a negative number ends it once it is refused.
Every line that it writes is a word, and what was said: `connecting`, `started T` (when the packet of time 0 was due,
seconds since 1970), `publishing N` (packets sent), `refused WHY`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep, time

import av
from av.error import FFmpegError

_TIMEOUT_S = 10.0
"""How long the server may take for an answer, seconds."""
_TELL_EVERY_S = 0.2


def main(clip: Path, url: str, again_after_s: float) -> None:
    """Publish until killed, or until refused where it is not to try again."""
    while True:
        _tell("connecting")
        try:
            _connect_and_send(clip, url)
        except FFmpegError as error:
            _tell(f"refused {error}")
        if again_after_s < 0:
            return
        sleep(again_after_s)


def _connect_and_send(clip: Path, url: str) -> None:
    with av.open(str(clip)) as source:
        (template, *_) = source.streams.video or source.streams.audio
        options = {"flvflags": "no_duration_filesize"}
        with av.open(url, "w", format="flv", options=options, timeout=_TIMEOUT_S) as target:
            stream = target.add_stream_from_template(template)
            started = told = monotonic()
            _tell(f"started {time():.6f}")
            for number, (packet, at_s) in enumerate(_packets(source, template)):
                sleep(max(0.0, started + at_s - monotonic()))
                packet.stream = stream
                target.mux(packet)
                if number == 0 or monotonic() - told >= _TELL_EVERY_S:
                    told = monotonic()
                    _tell(f"publishing {number + 1}")


def _packets(
    source: "av.container.InputContainer", stream: "av.VideoStream | av.AudioStream"
) -> Iterator[tuple["av.Packet[av.stream.Stream]", float]]:
    """Yield the packets of a clip's stream over and over, with times that go on, and when each is due in seconds."""
    offset = 0
    while True:
        end = 0
        for packet in source.demux(stream):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            packet.dts += offset
            packet.pts += offset
            end = max(end, packet.dts + (packet.duration or 1))
            yield packet, float(packet.dts * packet.time_base)
        offset = end
        source.seek(0)


def _tell(line: str) -> None:
    print(line.replace("\n", " "), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))

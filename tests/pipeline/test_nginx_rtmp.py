"""The live server of the demo and the tests takes, gives and drops streams."""

from pathlib import Path

import av
import pytest
import urllib3

from agents.demo.publisher import Publisher
from agents.local import NginxRtmp, nginx_rtmp_available
from tests.support.media import Clip, MediaFolder

pytestmark = [
    pytest.mark.own_servers,
    pytest.mark.skipif(nginx_rtmp_available() is not None, reason=nginx_rtmp_available() or ""),
]


def test_a_stream_that_is_published_can_be_pulled_and_dropped(tmp_path: Path, media: MediaFolder) -> None:
    clip = media.clip(Clip(width=192, height=192, fps=10, frames=40, gop=10))
    server = NginxRtmp(tmp_path)
    server.start()
    try:
        with Publisher(clip, f"{server.url}/somebody") as publisher:
            publisher.await_publishing()
            with av.open(f"{server.url}/somebody", format="flv", timeout=10) as pulled:
                first = next(pulled.decode(video=0))
                assert (first.width, first.height) == (192, 192)
            dropped = urllib3.request("GET", f"{server.control_url}/drop/publisher?app=live&name=somebody")
            assert (dropped.status, dropped.data) == (200, b"1")
            publisher.await_refused()
    finally:
        server.stop()

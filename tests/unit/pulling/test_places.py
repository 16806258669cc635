"""Where streams may be pulled from."""

from collections.abc import Sequence

import pytest

from agents.pulling.exceptions import Trouble
from agents.pulling.places import Guard


def guard(*addresses: str, allow_private: bool = False, hosts: Sequence[str] = ()) -> Guard:
    def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return Guard(allow_private, frozenset(hosts), resolve)


def test_the_address_that_was_checked_is_connected_to_and_the_server_told_the_name() -> None:
    place = guard("8.8.8.8").place("rtmp://live.example:1940/app/key?token=1")
    assert place.url == "rtmp://8.8.8.8:1940/app/key?token=1"
    assert place.options["rtmp_tcurl"] == "rtmp://live.example:1940/app"
    assert place.options["protocol_whitelist"] == "rtmp,tcp"


def test_an_address_of_ip_version_6_stands_in_brackets() -> None:
    assert guard("2606:4700::1").place("rtsp://u:p@live.example/a/b").url == "rtsp://u:p@[2606:4700::1]/a/b"


def test_a_certificate_is_verified_for_the_name_and_not_for_the_address() -> None:
    place = guard("8.8.8.8").place("rtmps://live.example/app/key")
    assert place.url == "rtmps://8.8.8.8/app/key"
    assert place.options["tls_verify"] == "1"
    assert place.options["verifyhost"] == "live.example"
    assert place.options["rtmp_tcurl"] == "rtmps://live.example/app"


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        (("10.0.0.1",), "10.0.0.1"),
        (("127.0.0.1",), "127.0.0.1"),
        (("8.8.8.8", "169.254.169.254"), "169.254.169.254"),
        (("::ffff:192.168.0.1",), "192.168.0.1"),
    ],
)
def test_a_host_with_a_private_address_is_refused(addresses: Sequence[str], said: str) -> None:
    with pytest.raises(Trouble, match=said) as refused:
        guard(*addresses).place("rtmp://live.example/app/secret-key")
    assert refused.value.kind == "forbidden"
    assert refused.value.lasting
    assert "secret-key" not in str(refused.value)


def test_a_host_that_is_named_may_have_one() -> None:
    assert guard("10.0.0.1", hosts=["live.internal"]).place("rtmp://live.internal/a/b").url == "rtmp://10.0.0.1/a/b"
    with pytest.raises(Trouble, match="forbidden"):
        guard("10.0.0.1", hosts=["live.internal"]).place("rtmp://other.internal/a/b")


def test_private_addresses_may_be_allowed_as_a_whole() -> None:
    assert guard("10.0.0.1", allow_private=True).place("rtmp://live.example/a/b").url == "rtmp://10.0.0.1/a/b"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "concat:a|b", "udp://8.8.8.8:1", "srt://8.8.8.8", "rtmp:"])
def test_what_is_no_live_stream_is_not_opened(url: str) -> None:
    with pytest.raises(Trouble) as refused:
        guard().place(url)
    assert refused.value.kind in {"forbidden", "unreachable"}


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(Trouble, match="forbidden"):
        guard("8.8.8.8").place("rtmp://live.example:99999/a/b")

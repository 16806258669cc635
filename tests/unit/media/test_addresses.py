"""Only public addresses are connected to, and only after all of a name's have been looked at."""

import socket
from collections.abc import Callable

import pytest

from agents.media.addresses import admit, refuse_private
from agents.media.exceptions import MediaError


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:db8::1",
        "not an address",
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    with pytest.raises(MediaError) as caught:
        refuse_private(address, 80)
    assert caught.value.kind == "forbidden"


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_pass(address: str) -> None:
    refuse_private(address, 443)


def names(*addresses: str) -> Callable[[str, int], list[str]]:
    return lambda host, port: list(addresses)


def test_one_private_address_spoils_a_name() -> None:
    assert admit("h", 80, refuse_private, names("8.8.8.8", "1.1.1.1")) == ["8.8.8.8", "1.1.1.1"]
    with pytest.raises(MediaError, match=r"10\.0\.0\.1"):
        admit("h", 80, refuse_private, names("8.8.8.8", "10.0.0.1"))


@pytest.mark.parametrize(("code", "transient"), [(socket.EAI_AGAIN, True), (socket.EAI_NONAME, False)])
def test_a_name_without_address_is_unreachable(code: int, transient: bool) -> None:
    def fails(host: str, port: int) -> list[str]:
        raise socket.gaierror(code, "no")

    with pytest.raises(MediaError) as caught:
        admit("h", 80, refuse_private, fails)
    assert (caught.value.kind, caught.value.transient) == ("unreachable", transient)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0"])
def test_odd_ways_to_write_loopback_are_resolved_before_they_are_judged(host: str) -> None:
    with pytest.raises(MediaError):
        admit(host, 80, refuse_private)

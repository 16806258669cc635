"""Which network addresses may be connected to on a stranger's behalf.

A name is resolved once, every address it has is checked, and the connection goes to a checked address, so that a
second answer of the name server (DNS rebinding) is never asked for.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence

from agents.media.exceptions import MediaError

Resolver = Callable[[str, int], Sequence[str]]
"""(host, port) -> IP addresses as text, best first. Raises `OSError` when the name has none."""

AddressCheck = Callable[[str, int], None]
"""(IP address as text, port) -> None. Raises `MediaError('forbidden', ...)` to refuse it."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def resolve(host: str, port: int) -> list[str]:
    """The addresses of `host`, in the order that the system's resolver prefers.

    Raises:
        OSError: The name cannot be resolved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def refuse_private(address: str, port: int) -> None:  # noqa: ARG001 - a check sees both
    """The default check: only globally routed unicast addresses pass, however they are written down.

    An IPv4 address inside an IPv6 one (mapped, 6to4, NAT64) is judged by itself.

    Raises:
        MediaError: `forbidden`.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        raise MediaError("forbidden", f"{address!r} is not an IP address") from None
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    if not ip.is_global or ip.is_multicast:
        raise MediaError("forbidden", f"the address {ip} is not a public one")


def admit(host: str, port: int, check: AddressCheck, resolver: Resolver = resolve) -> list[str]:
    """The addresses of `host` that may be connected to: all that it has, or none.

    Raises:
        MediaError: `forbidden`, when `check` refuses any of them; `unreachable`, when the name has none.
    """
    try:
        addresses = resolver(host.strip("[]"), port)
    except (OSError, UnicodeError) as error:
        again = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
        raise MediaError("unreachable", f"the name {host} cannot be resolved", transient=again) from None
    if not addresses:
        raise MediaError("unreachable", f"the name {host} has no address")
    for address in addresses:
        check(address, port)
    return list(addresses)

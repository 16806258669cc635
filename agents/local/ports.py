"""Loopback ports that a server can be given, and be given again after it was killed."""

import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"

_LOWEST = 10_240
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def is_listening(port: int, timeout_s: float = 1.0) -> bool:
    """Whether something accepts connections on this loopback port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True


def choose_ports(count: int) -> tuple[int, ...]:
    """Choose `count` different free loopback ports below the kernel's ephemeral range.

    A port of the ephemeral range could be taken by any outgoing connection while its server is down, even by
    a client that keeps trying to reach that very server: it would connect to itself and keep the port.

    Raises:
        OSError: No free ports were found.
    """
    lowest_ephemeral = int(_EPHEMERAL_RANGE.read_text().split()[0])
    highest = max(lowest_ephemeral - 1, _LOWEST + 1_000)
    chosen: list[int] = []
    dice = random.SystemRandom()
    for _ in range(_TRIES):
        if len(chosen) == count:
            break
        port = dice.randint(_LOWEST, highest)
        if port not in chosen and is_free(port):
            chosen.append(port)
    else:
        raise OSError(f"no {count} free ports between {_LOWEST} and {highest} on {LOOPBACK}")
    return tuple(chosen)

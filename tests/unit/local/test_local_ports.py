import socket
from pathlib import Path

from agents.local.ports import LOOPBACK, choose_ports, is_free, is_listening


def test_chosen_ports_differ_are_free_and_out_of_the_way_of_outgoing_connections() -> None:
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = choose_ports(20)
    assert len(set(ports)) == 20
    assert all(port < ephemeral for port in ports)
    assert all(is_free(port) for port in ports)


def test_a_port_that_a_server_listens_on_is_not_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        assert is_listening(port)
    assert is_free(port)
    assert not is_listening(port)

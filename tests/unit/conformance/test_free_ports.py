"""A port that a test is given is its own: given once, free, and of a range from which nobody is given one by chance."""

from __future__ import annotations

import socket
from pathlib import Path

from tests import ports


def test_ports_are_given_once_and_can_be_listened_on() -> None:
    given = [ports.free_port() for _ in range(20)]
    assert len(set(given)) == 20
    for port in given:
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_a_port_that_somebody_has_is_not_given() -> None:
    with socket.create_server(("127.0.0.1", ports.free_port())) as somebody:
        assert not ports._nobody_has(somebody.getsockname()[1])


def test_no_port_is_one_of_an_outgoing_connection() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    outgoing = range(first, last + 1)
    assert ports.free_port() not in outgoing or first <= ports.LOWEST

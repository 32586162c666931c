"""Is a peer given the time it may take, and no more?"""

from __future__ import annotations

import pytest

from pacs_gateway.scp.limits import Limits
from pacs_gateway.scp.silence import Ending, Silence
from pacs_gateway.upper_layer.association import State

LIMITS = Limits(idle_timeout_secs=300, stall_timeout_secs=60, artim_secs=30)


def silence() -> Silence:
    return Silence(LIMITS, now=1000.0)


@pytest.mark.parametrize(
    ("state", "busy", "within_message", "allowed_secs", "ending"),
    [
        (State.AWAITING_REQUEST, False, False, 30, Ending.NEVER_ASKED),
        (State.ESTABLISHED, False, True, 60, Ending.FELL_SILENT),
        (State.ESTABLISHED, False, False, 300, Ending.IDLE),
    ],
)
def test_a_silent_peer_is_ended_when_its_time_is_over(
    state: State, busy: bool, within_message: bool, allowed_secs: float, ending: Ending
) -> None:
    peer = silence()
    assert peer.broken(1000.0 + allowed_secs, state, busy=busy, within_message=within_message) is None
    assert peer.broken(1000.1 + allowed_secs, state, busy=busy, within_message=within_message) is ending


def test_what_is_heard_begins_the_time_anew() -> None:
    peer = silence()
    peer.heard(1200.0)
    assert peer.broken(1400.0, State.ESTABLISHED, busy=False, within_message=False) is None


def test_a_peer_that_waits_for_us_may_be_silent() -> None:
    assert silence().broken(9999.0, State.ESTABLISHED, busy=True, within_message=False) is None


def test_a_peer_that_does_not_read_is_ended_even_while_it_waits_for_us() -> None:
    peer = silence()
    peer.stopped_reading(1000.0)
    assert peer.broken(1060.1, State.ESTABLISHED, busy=True, within_message=False) is Ending.UNREAD
    peer.reads_again()
    assert peer.broken(1060.1, State.ESTABLISHED, busy=True, within_message=False) is None


def test_after_the_association_only_the_end_of_the_connection_is_waited_for() -> None:
    peer = silence()
    peer.stopped_reading(1000.0)
    peer.close(2000.0)
    assert peer.closed
    assert peer.broken(2030.0, State.ESTABLISHED, busy=False, within_message=True) is None
    ending = peer.broken(2030.1, State.ESTABLISHED, busy=False, within_message=True)
    assert ending is Ending.NEVER_CLOSED
    assert ending.at_once

"""An answer that pynetdicom received is left to who waits for it, however late its loop notices that it is to pause."""

from __future__ import annotations

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE


@pytest.fixture
def provider() -> DIMSEServiceProvider:
    """Of an association that has received something."""
    association = Association(AE(), "requestor")
    association.dimse.msg_queue.put((1, C_STORE()))
    return association.dimse


def test_the_loop_takes_nothing_once_somebody_sends(provider: DIMSEServiceProvider) -> None:
    provider.assoc._reactor_checkpoint.clear()
    assert provider.get_msg() == (None, None)
    context, answer = provider.get_msg(block=True)
    assert (context, type(answer)) == (1, C_STORE)


def test_the_loop_takes_what_it_is_asked_while_nobody_sends(provider: DIMSEServiceProvider) -> None:
    context, request = provider.get_msg()
    assert (context, type(request)) == (1, C_STORE)
    assert provider.get_msg() == (None, None)

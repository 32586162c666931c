"""What we offer to take over our own association: every encoding apart, where the study's classes leave room."""

from __future__ import annotations

import pytest

from pacs_gateway.query.models import STUDY_ROOT
from pacs_gateway.scu.peer import PLAIN
from pacs_gateway.scu.requestor import CONTEXT_LIMIT
from pacs_gateway.scu.retrieve import get_proposals
from pacs_gateway.storage_classes import STORAGE_CLASSES
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN, TRANSFER_SYNTAXES

CLASSES = sorted(STORAGE_CLASSES)
ENCODINGS = set(TRANSFER_SYNTAXES) - {EXPLICIT_VR_BIG_ENDIAN}


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 10, 40, 63])
def test_every_encoding_of_every_class_is_offered_once_within_the_limit(number: int) -> None:
    first, *offered = get_proposals(STUDY_ROOT.get, tuple(CLASSES[:number]))
    assert (first.sop_class, first.as_provider) == (STUDY_ROOT.get, False)
    assert len(offered) < CONTEXT_LIMIT
    assert all(one.as_provider for one in offered)
    for sop_class in CLASSES[:number]:
        syntaxes = [syntax for one in offered if one.sop_class == sop_class for syntax in one.transfer_syntaxes]
        assert len(syntaxes) == len(ENCODINGS)
        assert set(syntaxes) == ENCODINGS


@pytest.mark.parametrize("number", [1, 2, 3])
def test_few_classes_leave_room_for_each_compressed_encoding_alone(number: int) -> None:
    _, *offered = get_proposals(STUDY_ROOT.get, tuple(CLASSES[:number]))
    assert {one.transfer_syntaxes for one in offered if len(one.transfer_syntaxes) > 1} == {PLAIN}


def test_more_classes_than_there_is_room_for_are_offered_as_far_as_it_goes() -> None:
    assert len(get_proposals(STUDY_ROOT.get, tuple(CLASSES))) <= CONTEXT_LIMIT


def test_a_class_that_is_not_known_or_named_twice_takes_no_room() -> None:
    assert get_proposals(STUDY_ROOT.get, (CLASSES[0], "1.2.3.4", CLASSES[0], "")) == get_proposals(
        STUDY_ROOT.get, (CLASSES[0],)
    )
    assert get_proposals(STUDY_ROOT.get, ("1.2.3.4",)) == get_proposals(STUDY_ROOT.get)

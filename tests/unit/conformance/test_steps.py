"""A story is told step by step, and one that fails says where and why."""

from __future__ import annotations

import pytest

from conformance.errors import NoAnswerError
from conformance.steps import Step, StoryFailedError, Telling
from conformance.waiting import until


def test_a_step_is_told_once_it_has_happened() -> None:
    told: list[Step] = []
    telling = Telling("胸部DR", told.append)
    with telling.step(1, "登记患者", "registered") as proof:
        proof.append("MSA|AA")
        assert told == []
    assert told == telling.steps
    assert (told[0].number, told[0].proof) == (1, ("MSA|AA",))
    assert told[0].seconds >= 0


def test_a_step_that_did_not_happen_is_not_told() -> None:
    told: list[Step] = []
    step = Telling("胸部DR", told.append).step(3, "设备取工作列表", "worklist")
    with pytest.raises(StoryFailedError, match=r"胸部DR 3\. .*nobody there"), step:
        raise NoAnswerError("nobody there")
    assert told == []


async def test_waiting_ends_with_the_first_answer() -> None:
    answers = iter([None, None, "there"])

    async def ask() -> str | None:
        return next(answers)

    assert await until("it", ask, within_secs=5) == "there"


async def test_waiting_is_not_for_ever() -> None:
    async def ask() -> None:
        return None

    with pytest.raises(NoAnswerError, match="it: not within"):
        await until("it", ask, within_secs=0.1)

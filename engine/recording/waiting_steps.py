"""Which performed steps waited for these orders? Linked now, as if the order had come before its step."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from engine.recording.work import Work
from engine.steps import PerformedStep, linked, numbers_of
from engine.store import performed_steps
from engine.store.worklist import Step


async def link_waiting_steps(work: Work) -> list[str]:
    """Links steps to the orders that this transaction places, before they are written to the worklist.

    Returns the orders that are performed. The gateway tells of each step anew: its Procedure and the state of its order
    follow from that.
    """
    placed = sorted((work.steps[order] for order in work.placed_orders), key=_facility)
    performed: list[str] = []
    for facility, steps in groupby((step for step in placed if step.state != "cancelled"), key=_facility):
        numbers = sorted({number for step in steps for number in (step.accession, step.study_uid)})
        await performed_steps.lock_numbers(work.connection, facility, numbers)
        for step in await performed_steps.awaiting(work.connection, facility, numbers):
            performed += await _link(work, step)
    return performed


async def _link(work: Work, step: PerformedStep) -> Iterable[str]:
    accessions, studies = numbers_of(step)
    stored = await performed_steps.candidates(work.connection, step.facility, accessions, studies)
    candidates = [one for one in stored if one.service_request not in work.steps]
    candidates += [
        one
        for one in work.steps.values()
        if one.facility == step.facility and (one.accession in accessions or one.study_uid in studies)
    ]
    now = linked(step, candidates)
    if now == step:
        return ()
    await performed_steps.link(work.connection, now, work.at)
    return now.orders


def _facility(step: Step) -> str:
    return step.facility

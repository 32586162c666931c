"""What people decide of a study changes what is served of it, and nothing of whether everything of it has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.store import stating
from engine.store.announcements import Announced, Source
from engine.store.statements import REJECTION_NOTE, Kind, Said, note_uid, studies_of
from engine.store.stating import New
from engine.store.wholeness import State
from tests.integration.whole.conftest import SERIES, STUDY, Scene, instance, named, uid

OTHER, PART = "1.2.4", "2.25.1"
DECISIONS = {
    "rejected in part": (Kind.REJECT, Said(instances=(uid(1),), code="113001")),
    "rejected": (Kind.REJECT, Said(instances=(uid(1), uid(2), uid(3)), code="113037")),
    "split": (Kind.SPLIT, Said(to_study=PART, instances=(uid(1), uid(2)))),
    "split by series": (Kind.SPLIT, Said(to_study=PART, series=(SERIES,))),
    "merged": (Kind.MERGE, Said(to_study=OTHER)),
    "assigned": (Kind.ASSIGN, Said(attributes={"patient_id": "P7"}, renumber=True)),
}


def told(count: int) -> list[list[Announced]]:
    """What senders say that have so many instances of the study: their names with their number, or numbers alone."""
    of_series = Announced(series_uid=SERIES, study_uid=STUDY, count=count)
    return [[*named(*range(1, count + 1)), of_series], [of_series], [Announced(study_uid=STUDY, count=count)]]


async def decided(scene: Scene, kind: Kind, said: Said, study: str = STUDY) -> int:
    async with scene.pool.acquire() as connection, connection.transaction():
        touched = studies_of(kind, study, said)
        return await stating.state(connection, New("baishi", kind, study, touched, said, "wang", "seen"), scene.now)


async def judged(scene: Scene, said: Sequence[Announced]) -> tuple[State, int]:
    """How the study stands, and how much of it is missing, once its sender has said this and it was quiet for long."""
    await scene.announce(said, Source.QUERY, about=f"CT/{STUDY}")
    scene.after(300)
    await scene.watcher().look()
    state = await scene.state()
    assert state is not None
    return state.state, state.missing


@pytest.mark.parametrize("decision", DECISIONS.values(), ids=DECISIONS)
async def test_what_is_decided_makes_nothing_missing_and_fills_no_gap(
    scene: Scene, decision: tuple[Kind, Said]
) -> None:
    await scene.store(4, 5, 6, study=OTHER)
    await scene.store(1, 2, 3)
    await decided(scene, *decision)
    await scene.store(3)  # a repeat: it falls quiet again
    for said in told(3):
        assert await judged(scene, said) == (State.WHOLE, 0)
    for said in told(4)[1:]:
        assert await judged(scene, said) == (State.SHORT, 1)
    of_series = Announced(series_uid=SERIES, study_uid=STUDY, count=4)
    assert await judged(scene, [*named(1, 2, 3, 7), of_series]) == (State.SHORT, 1)


async def test_what_was_merged_into_a_study_fills_no_gap_of_it(scene: Scene) -> None:
    await scene.store(1, 2)
    await scene.store(7, 8, study=OTHER)
    await decided(scene, Kind.MERGE, Said(to_study=STUDY), OTHER)
    await scene.store(2)
    for said in told(3):
        assert await judged(scene, said) == (State.SHORT, 1)


async def test_a_rejection_note_of_ours_and_other_content_fill_no_gap(scene: Scene) -> None:
    await scene.store(1, 2)
    await scene.store(2, content="other")
    note = note_uid(await decided(scene, Kind.ASSIGN, Said(attributes={"patient_id": "P7"}, renumber=True)))
    await scene.record([replace(instance(9, scene.now), sop_uid=note, series_uid=f"{STUDY}.99")])
    hidden = await scene.pool.fetchval("select hidden from instance_as_sent where sop_uid = $1", note)
    assert hidden == REJECTION_NOTE
    for said in told(3):
        assert await judged(scene, said) == (State.SHORT, 1)

"""Who is one person because somebody stated it? What is taken back leaves nothing behind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.identity import Join, JoinKind, chain, disagreements, persons, replacements, with_links

SOURCES = list("abcdef")
HOMES = {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E", "f": "A"}
"""a and f share a card."""

joins = st.lists(
    st.builds(Join, st.sampled_from(list(JoinKind)), st.sampled_from(SOURCES), st.sampled_from(SOURCES)), max_size=12
)


@given(joins)
def test_everybody_who_was_joined_is_one_person_and_nobody_else(stated: list[Join]) -> None:
    found = persons(HOMES, stated)
    group = {source: {other for other in SOURCES if HOMES[other] == HOMES[source]} for source in SOURCES}
    for join in stated:
        together = group[join.joined] | group[join.to]
        group |= dict.fromkeys(together, together)
    assert {source: {other for other in SOURCES if found[other] == found[source]} for source in SOURCES} == group


@given(joins)
def test_replacements_never_lead_in_a_circle_and_the_last_one_kept_is_in_use(stated: list[Join]) -> None:
    replaced = replacements(stated)
    for source in SOURCES:
        assert len(chain(replaced, source)) < len(SOURCES)
    merges = [join for join in stated if join.kind is JoinKind.MERGE and join.joined != join.to]
    if merges:
        assert replaced[merges[-1].joined] == merges[-1].to


@given(joins, st.data())
def test_a_patient_is_as_if_what_was_taken_back_had_never_been_said(stated: list[Join], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, max(len(stated) - 1, 0)))
    left = [join for number, join in enumerate(stated) if number != position]
    forgotten = stated[position : position + 1]
    for source in SOURCES:
        bare = {"resourceType": "Patient", "id": source, "link": [{"other": {"display": "x"}, "type": "seealso"}]}
        with_all = with_links(bare, stated)
        assert with_links(with_all, left, forgotten) == with_links(bare, left)


def test_a_link_that_nobody_stated_here_stays() -> None:
    foreign = {"other": {"reference": "RelatedPerson/r1"}, "type": "seealso"}
    patient = {"resourceType": "Patient", "id": "a", "link": [foreign]}
    joined = with_links(patient, [Join(JoinKind.MERGE, "a", "b")])
    assert joined["link"] == [foreign, {"other": {"reference": "Patient/b"}, "type": "replaced-by"}]
    assert with_links(joined, [], [Join(JoinKind.MERGE, "a", "b")]) == patient


def test_what_only_one_side_says_disagrees_with_nothing() -> None:
    said = {"gender": "male", "birthDate": "1963-05-12", "name": [{"family": "石"}]}
    assert disagreements([said], [{}]) == []
    assert disagreements([said], [{"gender": "unknown", "name": [{"family": "时"}]}]) == []
    assert disagreements([said], [{"gender": "female", "birthDate": "1963-05-13"}]) == ["sex", "date of birth"]

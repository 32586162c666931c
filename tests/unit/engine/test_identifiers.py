"""The same business identifier always gives the same resource id."""

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from engine.identifiers import _NAMESPACE, IdsWithin, resource_id


@given(st.text(max_size=20), st.text(max_size=20), st.lists(st.text(max_size=20), max_size=4))
def test_an_id_is_the_uuid5_of_type_facility_and_identifier(kind: str, facility: str, parts: list[str]) -> None:
    made = resource_id(kind, facility, *parts)
    assert made == str(uuid5(UUID(bytes=_NAMESPACE), "\x1f".join((kind, facility, *parts))))
    assert UUID(made).version == 5


def test_an_id_never_changes_between_releases() -> None:
    assert resource_id("Patient", "baishi", "BSHIS", "BS0001") == "259194be-4efe-51c9-aaae-92855f39ffe3"


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=40), st.lists(st.text(max_size=20), min_size=1))
def test_ids_within_one_resource_are_those_that_would_be_made_one_by_one(
    kind: str, facility: str, within: str, parts: list[str]
) -> None:
    ids = IdsWithin(kind, facility, within)
    for _ in range(2):  # the second is made of what the first left behind
        assert ids.id_of("\x1f".join(parts)) == resource_id(kind, facility, within, *parts)

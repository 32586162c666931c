"""What is served of an object follows from what was sent and from the statements that stand, in their order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.statements import (
    REJECTION_NOTE,
    Kind,
    Said,
    Sent,
    Served,
    Statement,
    as_json,
    changes_in,
    charset_after,
    location_of,
    note_uid,
    read,
    served,
)

SENT = Sent("1.1", "S", "S.1", b"\1" * 32, False)


def test_without_statements_what_was_sent_is_served() -> None:
    assert served(SENT, []) == Served("1.1", "S", "S.1", False)


def test_statements_follow_the_study_where_it_went() -> None:
    split = Statement(1, Kind.SPLIT, "S", Said(to_study="T", series=("S.1",)))
    assign = Statement(2, Kind.ASSIGN, "T", Said(attributes={"accession": "A2"}))
    of_what_stayed = Statement(3, Kind.ASSIGN, "S", Said(attributes={"accession": "A3"}))
    now = served(SENT, [split, assign, of_what_stayed])
    assert (now.study_uid, dict(now.attributes)) == ("T", {"accession": "A2"})


def test_what_others_were_told_to_forget_has_a_number_of_its_own_before_and_after_undoing() -> None:
    said = Said(attributes={"accession": "A2"}, renumber=True)
    first = served(SENT, [Statement(1, Kind.ASSIGN, "S", said)])
    undone = served(SENT, [Statement(1, Kind.ASSIGN, "S", said, undone=True)])
    assert len({SENT.sop_uid, first.sop_uid, undone.sop_uid}) == 3
    assert dict(undone.attributes) == {}


def test_our_own_note_is_kept_beside_what_is_served() -> None:
    statement = Statement(9, Kind.ASSIGN, "S", Said(renumber=True))
    for undone in (False, True):
        note = Sent(note_uid(9, undone=undone), "S", "S.9", b"\2" * 32, False)
        assert served(note, [statement]).hidden == REJECTION_NOTE


class _Walked(tuple[str, ...]):
    """Names that count how often somebody looks through all of them."""

    looks = 0

    def __contains__(self, name: object) -> bool:
        self.looks += 1
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        self.looks += 1
        return super().__iter__()


@pytest.mark.parametrize("kind", [Kind.REJECT, Kind.SPLIT, Kind.KEEP])
def test_what_a_statement_names_is_looked_through_once_whatever_the_number_of_objects(kind: Kind) -> None:
    named = _Walked(f"1.{number}" for number in range(1000))
    statement = Statement(1, kind, "S", Said(instances=named, to_study="T", code="113037", sha256="ab"))
    for number in range(200):
        served(Sent(f"2.{number}", "S", "S.1", b"\1" * 32, False), [statement])
    assert named.looks <= 1


@pytest.mark.parametrize(
    ("kind", "first", "other"),
    [
        (Kind.KEEP, ("", False), ("", False)),
        (Kind.REPLACE, ("other-content", False), ("", False)),
        (Kind.LEAVE, ("", False), ("other-content", True)),
    ],
)
def test_of_two_contents_one_or_both_are_served(kind: Kind, first: tuple[str, bool], other: tuple[str, bool]) -> None:
    later = Sent("1.1", "S", "S.1", b"\2" * 32, True)
    statement = Statement(1, kind, "S", Said(instances=("1.1",), sha256=later.sha256.hex()))
    now = [served(one, [statement]) for one in (SENT, later)]
    assert [(one.hidden, one.conflict) for one in now] == [first, other]
    assert (now[0].sop_uid == now[1].sop_uid) == (kind is not Kind.KEEP)


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.dictionaries(st.sampled_from(["accession", "patient_name", "study_uid"]), _TEXTS, min_size=1), _TEXTS)
def test_a_location_gives_back_what_was_put_into_it(changes: dict[str, str], charset: str) -> None:
    location = location_of("baishi/1.2/ab.dcm", changes, charset)
    assert changes_in(location) == ("baishi/1.2/ab.dcm", changes, charset)
    assert location.count("/") == 2 or "/" not in location.partition("!")[2]
    assert changes_in("baishi/1.2/ab.dcm") == ("baishi/1.2/ab.dcm", {}, "")


def test_what_a_statement_says_is_read_as_it_was_written() -> None:
    said = Said(to_study="T", series=("a", "b"), attributes={"sex": ""}, renumber=True, code="113001")
    assert read(as_json(said)) == said
    assert read(as_json(Said())) == Said()


@pytest.mark.parametrize(
    ("declared", "used", "name", "after"),
    [
        ("", "ascii", "Zhang^San", ""),
        ("", "ascii", "张^三", "ISO_IR 192"),
        ("", "gb18030", "张^三", "ISO_IR 192"),  # doubtful, and without a label nobody knows
        ("ISO_IR 100", "latin-1", "Müller", "ISO_IR 100"),
        ("ISO_IR 100", "latin-1", "张^三", "ISO_IR 192"),
        ("ISO_IR 6", "ascii", "Müller", "ISO_IR 192"),
        ("ISO_IR 144", "iso8859-5", "张^三", "ISO_IR 192"),
        ("ISO_IR 192", "utf-8", "张^三", "ISO_IR 192"),
        ("GB18030", "gb18030", "张^三", "GB18030"),
        ("\\ISO 2022 IR 58", "gb18030", "张^三", "ISO_IR 192"),  # which would need escape sequences
        ("\\ISO 2022 IR 149", "euc_kr", "张^三", "\\ISO 2022 IR 149"),
        ("ISO_IR 999", "no-such-codec", "张^三", "ISO_IR 192"),
    ],
)
def test_an_object_whose_characters_cannot_hold_what_was_decided_is_served_in_unicode(
    declared: str, used: str, name: str, after: str
) -> None:
    charset = {"declared": declared, "used": used}
    written = charset_after(charset, {"patient_name": name, "sex": "F"})
    assert written["declared"] == after
    assert written == charset if after == declared else written["used"] == "utf-8"

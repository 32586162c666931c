"""What a text gave is remembered; not its doubts, and nothing of what other fields of that message said."""

from __future__ import annotations

from engine.finding import Severity
from engine.mapping.mapped import Context
from engine.mapping.registry import FUNCTIONS, Options
from engine.mapping.remembering import LIMIT_REMEMBERED, LIMIT_TEXT, Texts, remembering, remembering_mentions
from engine.mapping.scope import Scope
from engine.terminology import Tables
from tests.unit.mapping.conftest import CONTEXT, FOLDER, Map
from tests.unit.mapping.segments import obr, obx, pid


def scope(facility_name: str = "白石乡卫生院") -> Scope:
    return Scope(Context(CONTEXT.facility, facility_name, CONTEXT.channel, CONTEXT.received_at), "utf-8", b"")


def test_a_text_is_read_once() -> None:
    read: list[str] = []
    known: dict[Texts, str] = {}

    def lower(raw: str, scope: Scope) -> str:
        read.append(raw)
        return raw.lower()

    apply = remembering(lower, known, 1)
    assert [apply("A", scope()), apply("A", scope()), apply("B", scope())] == ["a", "a", "b"]
    assert read == ["A", "B"]
    assert known == {"A": "a", "B": "b"}


def test_the_texts_of_several_fields_are_remembered_together_and_that_they_gave_nothing() -> None:
    read: list[str] = []
    known: dict[Texts, str | None] = {}

    def apply(first: str, second: str, scope: Scope) -> str | None:
        read.append(first + second)
        return first if first == second else None

    remembered = remembering(apply, known, 2)
    for _ in range(2):
        assert [remembered("A", "A", scope()), remembered("A", "B", scope())] == ["A", None]
    assert read == ["AA", "AB"]
    assert known == {("A", "A"): "A", ("A", "B"): None}


def test_a_doubt_is_noted_each_time() -> None:
    def doubting(raw: str, scope: Scope) -> str:
        scope.doubt("odd", "odd", 1, Severity.WARNING)
        return raw

    for apply in (remembering(doubting, {}, 1), remembering_mentions(doubting, 1)):
        messages = [scope(), scope()]
        for each in messages:
            apply("A", each)
        assert [len(each.doubts) for each in messages] == [1, 1]


def test_neither_long_texts_nor_too_many_are_kept() -> None:
    known: dict[Texts, str] = {}
    apply = remembering(lambda raw, scope: raw, known, 1)
    apply("x" * (LIMIT_TEXT + 1), scope())
    assert known == {}
    for number in range(LIMIT_REMEMBERED + 1):
        apply(str(number), scope())
    assert known == {str(LIMIT_REMEMBERED): str(LIMIT_REMEMBERED)}


def test_who_was_mentioned_is_mentioned_again() -> None:
    tables = Tables.load(FOLDER / "tables")
    apply = remembering_mentions(FUNCTIONS["practitioner_role"].make(Options("baishi", tables)), 1)
    first, again = scope(), scope()
    reference = apply("D1^王^医生", first)
    assert apply("D1^王^医生", again) == reference
    assert again.mentioned == first.mentioned
    assert [name.partition("/")[0] for name in again.mentioned] == ["Practitioner", "PractitionerRole"]


def test_a_facility_that_is_renamed_is_mentioned_by_its_new_name() -> None:
    tables = Tables.load(FOLDER / "tables")
    apply = remembering_mentions(FUNCTIONS["practitioner_role"].make(Options("baishi", tables)), 1)
    names: list[str] = []
    for name in ("旧名", "新名"):
        renamed = scope(name)
        apply("D1^王^医生", renamed)
        names.extend(each["organization"]["display"] for each in renamed.mentioned.values() if "organization" in each)
    assert names == ["旧名", "新名"]


def test_what_one_message_says_of_a_person_is_not_said_of_him_in_the_next(mapped: Map) -> None:
    result = obx("NM", "5.1", f16="D1^王^医生")
    order = "ORC|RE|PL1|FL1|||||||||D1^王^医生" + "|" * 12 + "白石路1号^^青溪县"
    with_address = mapped("ORU^R01", pid(), order, obr(), result)
    without = mapped("ORU^R01", pid(), obr(), result)
    people = [
        next(each for each in message.resources if each["resourceType"] == "Practitioner")
        for message in (with_address, without)
    ]
    assert people[0]["id"] == people[1]["id"]
    assert ["address" in each for each in people] == [True, False]

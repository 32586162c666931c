"""A first mapping is drafted from samples: it loads, its test passes, and it says no patient's values."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.mapping.draft import Draft, Ground, Samples, Survey, draft, samples_of
from engine.mapping.draft.content import form_of, shape_of
from engine.mapping.draft.samples import EVERY, LIMIT_ALL_LOOKED_AT, payloads
from engine.mapping.testing import run_tests

BILL = (
    "MSH|^~\\&|HIS|BS|H|Q|20260402090000||BAR^P01|B1|P|2.5.1||||||UNICODE UTF-8",
    "EVN|P01|20260402090000",
    "PID|1||B77^^^HIS^MR||诸葛^小东||19491231|M|||白石乡柳树村||13800138000",
    "PV1|1|O|门诊||||||||||||||||V1",
    "DG1|1||I10^高血压^I10",
    "NTE|1||诸葛先生自述",
    "IN1|1|CZ^城乡|330100|医保局",
    "ZBR|1|自费|2026-04-02 08:00|330.50|01",
)
REGISTRATION = (
    "MSH|^~\\&|HIS|BS|H|Q|20260402090000||ADT^A04|B2|P|2.4||||||UNICODE UTF-8",
    "EVN|A04|20260402090000",
    "PID|1||B78^^^HIS^MR||诸葛^亮||19491231|汉子|||白石乡柳树村||13800138000||||||||||||||||||X1",
    "ZPD|诸葛亮|1|A",
    "PV1|1|O|门诊||||||||||||||||V2",
)
SECRETS = ("诸葛", "小东", "柳树村", "13800138000", "B77", "B78", "19491231")

Drafted = Callable[..., Draft]


def text_of(*lines: str, end: str = "\r") -> bytes:
    return "".join(f"{line}{end}" for line in lines).encode()


@pytest.fixture(scope="session")
def few(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mappings of registrations alone: a draft stands beside many others or few."""
    place = tmp_path_factory.mktemp("few") / "mappings"
    for part in ("tables", "hl7v2/parts", "hl7v2/ADT"):
        shutil.copytree(folder / part, place / part)
    return place


@pytest.fixture
def own(tmp_path: Path) -> Path:
    place = tmp_path / "config/mappings"
    place.mkdir(parents=True)
    return place


@pytest.fixture
def drafted(few: Path, own: Path, tmp_path: Path) -> Drafted:
    """Drafts from a file of these bytes and writes what is drafted, as the command does."""

    def make(content: bytes, *, keep_values: bool = False) -> Draft:
        path = tmp_path / "samples.hl7"
        path.write_bytes(content)
        made = draft(samples_of([path]), Ground(few, own, ["baishi"], "baishi", keep_values))
        for each in made.files:
            place = own / each.file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(each.content)
        return made

    return make


def survey_of(made: Draft, message_type: str) -> Survey:
    return next(each for each in made.surveys if message_type in each.message_types)


def failures(few: Path, own: Path) -> list[tuple[str, str]]:
    """What is wrong with the drafted files; some rows of the parts are tried by mappings that are not here."""
    results = [result for result in run_tests(few, own) if result.file.startswith("mappings/")]
    assert results
    return [(result.name, failure) for result in results for failure in result.failures]


def test_a_type_that_no_mapping_takes_becomes_a_mapping_of_its_own(few: Path, own: Path, drafted: Drafted) -> None:
    made = survey_of(drafted(text_of(*BILL)), "BAR^P01")
    text = (own / "hl7v2/BAR_P01/mapping.yaml").read_text(encoding="utf-8")
    assert "part: patient\n    rules:\n" in text
    assert "part: diagnosis" in text
    assert '# - {rule: zbr-3, from: ZBR-3, to: extension+, with: time_extension, as: "urn:hutong:zbr-3"}' in text
    assert "time YYYY-MM-DD HH:MM" in text
    assert made.definition is None
    assert failures(few, own) == []


def test_for_a_type_that_is_taken_only_the_differences_are_drafted(few: Path, own: Path, drafted: Drafted) -> None:
    made = drafted(text_of(*REGISTRATION))
    text = (own / "facilities/baishi/adt_draft.yaml").read_text(encoding="utf-8")
    assert "patient: {holds: [ZPD]}" in text
    assert "rule: pid-31" in text
    assert "rule: pid-5," not in text
    assert made.open_codes == {"sex": ["汉子"]}
    table = (own / "facilities/baishi/tables/sex.csv").read_text(encoding="utf-8")
    assert '汉子,?,"met 1 times in PID-8; one of female 女' in table
    assert failures(few, own) == []


def test_a_field_is_drafted_below_the_resource_that_its_segment_becomes(few: Path, own: Path, drafted: Drafted) -> None:
    numbered = [line.replace("PV1|1|O|门诊", "PV1|1|O|门诊|||||||||||||||甲|V3|") for line in REGISTRATION]
    drafted(text_of(*numbered))
    text = (own / "facilities/baishi/adt_draft.yaml").read_text(encoding="utf-8")
    rows = text.partition("changes:")[2]
    assert (
        rows.index("  Patient:") < rows.index("from: PID-31") < rows.index("  Encounter:") < rows.index("from: PV1-18")
    )
    assert failures(few, own) == []


def test_no_file_holds_what_belongs_to_a_patient(own: Path, drafted: Drafted) -> None:
    made = drafted(text_of(*BILL, *REGISTRATION))
    written = "".join(path.read_text(encoding="utf-8") for path in own.rglob("*") if path.is_file())
    assert [secret for secret in SECRETS if secret in written] == []
    shown = "".join(column.holds for each in made.surveys for column in each.columns)
    assert [secret for secret in SECRETS if secret in shown] == []


def test_values_are_kept_where_somebody_asks_for_it(few: Path, own: Path, drafted: Drafted) -> None:
    drafted(text_of(*REGISTRATION), keep_values=True)
    assert "诸葛^亮" in (own / "facilities/baishi/adt_drafted.hl7").read_text(encoding="utf-8")
    assert failures(few, own) == []


def test_samples_of_several_types_and_line_ends_are_drafted_apart(drafted: Drafted) -> None:
    made = drafted(text_of(*BILL, end="\n") + text_of(*REGISTRATION, end="\n") + text_of(*BILL, end="\n"))
    assert sorted(kind for each in made.surveys for kind in each.message_types) == ["ADT^A04", "BAR^P01"]
    columns = {column.field: column for column in survey_of(made, "BAR^P01").columns}
    assert columns["ZBR-5"].filled == "2 of 2"


def test_types_that_one_mapping_takes_are_drafted_together(few: Path, own: Path, drafted: Drafted) -> None:
    changed = text_of(*REGISTRATION).replace(b"ADT^A04", b"ADT^A08").replace(b"ZPD|", b"ZPX|")
    made = survey_of(drafted(text_of(*REGISTRATION) + changed), "ADT^A04")
    assert made.message_types == ("ADT^A04", "ADT^A08")
    text = (own / "facilities/baishi/adt_draft.yaml").read_text(encoding="utf-8")
    assert "patient: {holds: [ZPD, ZPX]}" in text
    columns = {column.field: column for column in made.columns}
    assert columns["PID-8"].filled == "2 of 2"
    assert failures(few, own) == []


def test_a_charset_that_nobody_labels_is_found(tmp_path: Path) -> None:
    path = tmp_path / "gb.hl7"
    path.write_bytes(text_of(*REGISTRATION).decode().replace("UNICODE UTF-8", "").encode("gb18030"))
    profile = samples_of([path]).profiles["ADT^A04"]
    assert profile.charsets == {"gb18030": 1}
    assert profile.columns["PID", 8].values == {"汉子": 1}


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x00\x01\x02" * 100, b"PID|1||A\r", b"MSH", b"MSH|^~\\&|A\r"],
    ids=["empty", "a letter", "bytes", "no header", "three letters", "a header without a type"],
)
def test_what_is_no_message_is_counted_and_drafts_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "none"
    path.write_bytes(content)
    found = samples_of([path])
    assert found.profiles == {}
    assert sum(found.unread.values()) == 1


@pytest.mark.parametrize("lines", [BILL[:1], BILL[:3], (*BILL[:2], "PID|1||B"), (BILL[0], "ZZZ|1|2")])
def test_truncated_messages_make_drafts_that_pass(
    few: Path, own: Path, drafted: Drafted, lines: tuple[str, ...]
) -> None:
    drafted(text_of(*lines).rstrip(b"\r"))
    assert failures(few, own) == []


def test_of_very_many_messages_a_part_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "many.hl7"
    count = LIMIT_ALL_LOOKED_AT + 3 * EVERY
    path.write_bytes(b"FHS|^~\\&\r" + text_of(*REGISTRATION[:3]) * count + b"FTS|1\r")
    found: Samples = samples_of([path])
    assert found.counts == {"ADT^A04": count}
    assert found.profiles["ADT^A04"].messages == LIMIT_ALL_LOOKED_AT + 3


def test_messages_are_cut_apart_wherever_a_chunk_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cut.hl7"
    path.write_bytes(b"\x0b" + text_of(*BILL) + b"\x1c\r\x0b" + text_of(*REGISTRATION) + b"\x1c\r")
    whole = list(payloads(path))
    assert [each[:3] for each in whole] == [b"MSH", b"MSH"]
    for size in (1, 7, 64):
        monkeypatch.setattr("engine.mapping.draft.samples.CHUNK_BYTES", size)
        assert list(payloads(path)) == whole


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("20260401", "YYYYMMDD"),
        ("20260401083015", "YYYYMMDDHHMMSS"),
        ("20260401083015+0800", "YYYYMMDDHHMMSS+ZZZZ"),
        ("2026-04-01 08:30", "YYYY-MM-DD HH:MM"),
        ("2026年4月1日", "YYYY年M月M日"),
        ("13800138000", ""),
        ("20261301", ""),
        ("", ""),
    ],
)
def test_the_form_of_a_time_is_told(text: str, form: str) -> None:
    assert bool(form_of(text)) == bool(form)
    if "年" not in text:
        assert form_of(text) == form


def test_the_shape_of_a_value_says_nothing_of_it() -> None:
    assert shape_of("B-00123 张") == "A-99999 字"

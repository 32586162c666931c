"""The Conformance Statement says what the running gateway does: what is in it is accepted, what is not is refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydicom._uid_dict import UID_dictionary
from pynetdicom import AE, build_context
from pynetdicom.presentation import PresentationContext

from engine import config
from engine.cli.main import main
from engine.config import AeEntry, Community
from pacs_gateway.gateway import Gateway
from pacs_gateway.statement import document
from pacs_gateway.statement.stated import CLASS_HEADINGS, SYNTAX_HEADINGS, statement
from tests.integration.gateway.conftest import Start, channel

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"
MOST_CONTEXTS = 127
VERIFICATION, CT = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"
PRIVATE = "1.2.826.0.1.3680043.10.999.1"
OTHER_CLASSES = ["1.2.840.10008.5.1.4.34.6.1", "1.2.840.10008.5.1.1.1", "1.2.840.10008.5.1.4.38.1", PRIVATE]
Context = tuple[str, str]


@pytest.fixture(scope="module")
def community() -> Community:
    example = config.load(EXAMPLE)
    channels = {name: one for name, one in example.channels.items() if one.type != "dicom"}
    return example.model_copy(update={"channels": {**channels, "imaging": channel()}})


@pytest.fixture(scope="module")
def text(community: Community) -> str:
    return document.markdown(statement(community))


def rows_of(text: str, headings: Sequence[str]) -> list[dict[str, str]]:
    """The rows of the table with these headings, as whoever reads the statement has them."""
    start = text.index(f"| {' | '.join(headings)} |")
    lines = text[start:].split("\n\n")[0].splitlines()[2:]
    return [dict(zip(headings, (cell.strip() for cell in line.strip("|").split("|")), strict=True)) for line in lines]


def accepted(port: int, proposals: Sequence[Context]) -> set[Context]:
    """Which of these classes in these transfer syntaxes are accepted, each proposed by itself. Blocking."""
    found: set[Context] = set()
    for at in range(0, len(proposals), MOST_CONTEXTS):
        entity = AE("DR_BAISHI")
        contexts: list[PresentationContext] = [build_context(*one) for one in proposals[at : at + MOST_CONTEXTS]]
        association = entity.associate("127.0.0.1", port, contexts=contexts, ae_title="ANY")
        if association.is_established:
            found |= {(str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in association.accepted_contexts}
            association.release()
    return found


def standard_classes() -> Iterator[str]:
    """Every SOP class that there is, in pydicom's dictionary."""
    for uid, (_, kind, *_) in UID_dictionary.items():
        if kind in ("SOP Class", "Meta SOP Class"):
            yield uid


async def test_each_class_of_the_statement_is_accepted_and_no_other(gateway: Gateway, text: str) -> None:
    stated = {row["UID"] for row in rows_of(text, CLASS_HEADINGS)}
    others = sorted({*standard_classes(), *OTHER_CLASSES} - stated)
    assert len(stated) > 150
    assert len(others) > 50
    plain = "1.2.840.10008.1.2.1"
    proposals = [(uid, plain) for uid in (*sorted(stated), *others)]
    assert {uid for uid, _ in await asyncio.to_thread(accepted, gateway.port, proposals)} == stated


async def test_each_transfer_syntax_of_the_statement_is_accepted_and_no_other(gateway: Gateway, text: str) -> None:
    classes = {row["UID"]: row["Transfer syntaxes"] for row in rows_of(text, CLASS_HEADINGS)}
    sets = {row["UID"]: row["Set"].split(", ") for row in rows_of(text, SYNTAX_HEADINGS)}
    others = [uid for uid, (_, kind, *_) in UID_dictionary.items() if kind == "Transfer Syntax" and uid not in sets] + [
        "1.2.3.4"
    ]
    samples = [CT, *(uid for uid, kind in classes.items() if kind == "uncompressed")]
    assert len(samples) > 8
    proposals = [(uid, syntax) for uid in samples for syntax in (*sets, *others)]
    wanted = {(uid, syntax) for uid in samples for syntax, kinds in sets.items() if classes[uid] in kinds}
    assert await asyncio.to_thread(accepted, gateway.port, proposals) == wanted


async def test_callers_of_the_statement_are_let_in_and_no_others(gateway: Gateway, text: str) -> None:
    stated = rows_of(text, ("Calling AE title", "From", "Facility", "C-MOVE destination", "Private storage classes"))
    here = [row["Calling AE title"] for row in stated if row["From"] == "any address"]
    elsewhere = [row["Calling AE title"] for row in stated if row["From"] != "any address"]

    def let_in(title: str) -> bool:
        entity = AE(title)
        association = entity.associate("127.0.0.1", gateway.port, contexts=[build_context(VERIFICATION)])
        if established := association.is_established:
            association.release()
        return bool(established)

    titles = (*here, *elsewhere, "NOBODY")
    assert [await asyncio.to_thread(let_in, title) for title in titles] == [True, True, False, False]


async def test_private_classes_are_stated_where_a_caller_may_store_them(start: Start, community: Community) -> None:
    entries = (AeEntry(ae_title="DR_BAISHI", facility="baishi", private_classes=True),)
    changed = community.model_copy(update={"channels": {"imaging": channel(ae_entries=entries)}})
    text = document.markdown(statement(changed))
    assert "private storage classes (2.2) may store" in text
    gateway = await start(ae_entries=entries)
    assert await asyncio.to_thread(accepted, gateway.port, [(PRIVATE, "1.2.840.10008.1.2.1")])


def test_a_statement_is_of_what_is_configured(community: Community, text: str) -> None:
    assert "| AE title | HUTONG |" in text
    assert "| Storage | no | yes |" in text
    nothing = document.markdown(statement(community.model_copy(update={"channels": {}})))
    assert "Application entity" not in nothing
    assert "| Storage | no | no |" in nothing


def test_names_of_a_configuration_are_no_markup(community: Community) -> None:
    hostile = community.model_copy(update={"name": "<script>alert(1)</script> | x"})
    blocks = statement(hostile)
    for written in (document.html(blocks), document.markdown(blocks)):
        assert "<script>" not in written
    assert re.search(r"<title>.*&lt;script&gt;", document.html(blocks))
    cells = document.markdown([document.table(("a", "b"), [("x|y\nz", "\\")])])
    assert cells.splitlines()[-1] == r"| x\|y z | \\ |"


@pytest.mark.parametrize(("options", "beginning"), [((), "# DICOM Conformance"), (("--html",), "<!doctype html>")])
def test_the_command_writes_it(capsys: pytest.CaptureFixture[str], options: tuple[str, ...], beginning: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["conformance", "statement", "--config", str(EXAMPLE), *options])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(beginning)

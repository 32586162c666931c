"""A correction that comes before its original: the record ends as if they had come in order."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import result

_AT = {"preliminary": "20261121090000", "original": "20261121100000", "correction": "20261121140000"}
_STATUS = {"preliminary": "P", "original": "F", "correction": "C"}


def _message(which: str, values: dict[str, str], *, at: str = "", status: str = "") -> bytes:
    """A report of some results: by code, their values."""
    status = status or _STATUS[which]
    head, _, _ = result(status=status, control_id=f"{which}{at}{'-'.join(values)}").partition(b"OBX|1|")
    head = head.replace(b"20261121090000||LAB", f"{at or _AT[which]}||LAB".encode())
    lines = [
        f"OBX|{number}|NM|{code}^{code}^L||{value}|mmol/L|3.90-6.10|N|||{status}|||20261121085500"
        for number, (code, value) in enumerate(values.items(), 1)
    ]
    return head + "".join(f"{line}\r" for line in lines).encode()


_TEN = {f"R{number}": f"{number}.0" for number in range(10)}
_SAID = {"original": _message("original", _TEN), "correction": _message("correction", {"R8": "4.6"})}


async def _told(hub: Hub) -> tuple[list[str], dict[str, str], dict[str, Any]]:
    """The codes that the report names in order, the value of every result, and the report without what is generated."""
    report = await hub.only("DiagnosticReport")
    results = {f"Observation/{each['id']}": each for each in await hub.resources("Observation")}
    code = {reference: each["code"]["coding"][0]["code"] for reference, each in results.items()}
    values = {code[reference]: str(each["valueQuantity"]["value"]) for reference, each in results.items()}
    rest = {name: value for name, value in report.items() if name not in ("meta", "result")}
    return [code[each["reference"]] for each in report["result"]], values, rest


@pytest.mark.parametrize("order", [("original", "correction"), ("correction", "original")])
async def test_a_correction_before_its_original_ends_as_one_after_it(hub: Hub, order: tuple[str, ...]) -> None:
    for which in order:
        await hub.send("baishi-his", _SAID[which])
        await hub.run()
    codes, values, report = await _told(hub)
    assert codes == list(_TEN)
    assert values == _TEN | {"R8": "4.6"}
    assert (report["status"], report["issued"]) == ("corrected", "2026-11-21T14:00:00+08:00")


@pytest.mark.parametrize("order", list(permutations(("R1", "R2", "R3"))))
async def test_parts_of_a_report_that_is_not_final_yet_are_all_in_it(hub: Hub, order: tuple[str, ...]) -> None:
    for code in order:
        at = f"202611210{code[1]}0000"
        await hub.send("baishi-his", _message("preliminary", {code: "5.1"}, at=at))
        await hub.run()
    codes, _, report = await _told(hub)
    assert sorted(codes) == ["R1", "R2", "R3"]
    assert report["issued"] == "2026-11-21T03:00:00+08:00"


_SAID_AGAIN = _SAID | {"again": _message("original", {"R0": "0.0", "R8": "8.0"}, at="20261121120000")}


@pytest.mark.parametrize(
    "order",
    [
        ("original", "again", "correction"),
        ("original", "correction", "again"),
        ("again", "original", "correction"),
        ("again", "correction", "original"),
    ],
)
async def test_a_later_final_says_all_of_its_results_whenever_it_comes(hub: Hub, order: tuple[str, ...]) -> None:
    for which in order:
        await hub.send("baishi-his", _SAID_AGAIN[which])
        await hub.run()
    codes, values, report = await _told(hub)
    assert codes == ["R0", "R8"]
    assert values["R8"] == "4.6"
    assert report["status"] == "corrected"


@pytest.mark.parametrize("order", list(permutations(("original", "again"))))
async def test_of_two_finals_behind_a_correction_no_result_is_lost(hub: Hub, order: tuple[str, ...]) -> None:
    """What is gathered leaves no time of its own, so nobody can say which of the two was the whole."""
    for which in ("correction", *order):
        await hub.send("baishi-his", _SAID_AGAIN[which])
        await hub.run()
    codes, values, _ = await _told(hub)
    assert sorted(codes) == sorted(_TEN)
    assert values["R8"] == "4.6"


async def test_an_older_report_brings_nothing_to_a_final_one(hub: Hub) -> None:
    await hub.send("baishi-his", _message("original", {"R1": "5.1"}))
    await hub.send("baishi-his", _message("preliminary", {"R1": "5.0", "R2": "6.0"}))
    await hub.run()
    codes, _, report = await _told(hub)
    assert (codes, report["status"]) == (["R1"], "final")


async def test_an_original_that_comes_twice_late_changes_nothing_the_second_time(hub: Hub) -> None:
    await hub.send("baishi-his", _SAID["correction"])
    for control_id in (b"once", b"twice"):
        await hub.send("baishi-his", _SAID["original"].replace(b"|original", b"|" + control_id, 1))
        await hub.run()
    assert await hub.pool.fetchval("select version from resource where type = 'DiagnosticReport'") == 2
    assert await hub.pool.fetchval("select max(version) from resource where type = 'Observation'") == 1

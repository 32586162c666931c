"""Bytes that once broke something, found by `tests.fuzz.walk`; each stays a case for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import config
from engine.cli.assembly import mappings_of
from engine.config import Community
from engine.mapping import MappingSet
from tests.fuzz.invariants import walk_holds

ROOT = Path(__file__).parents[3]

FOUND = {
    "a block's first byte inside MSH-6, echoed in the answer": (
        b"MSH|^~\\&|HIS|QXRMYY|HUT\x0bNG|QINGXI|20260402090000||ADT^A27^ADT_A21|QX1000\xc6\xba\rPID|1||B1^^^HIS^MR\r"
    ),
    "a batch that begins with no header": b"\x0b\xb1\xacH\n\n",
}


@pytest.fixture(scope="module")
def community() -> Community:
    return config.load(ROOT / "docker" / "example")


@pytest.fixture(scope="module")
def mappings(community: Community) -> MappingSet:
    return mappings_of(community)


@pytest.mark.parametrize("found", FOUND)
def test_it_stays_mended(found: str, community: Community, mappings: MappingSet) -> None:
    walk_holds(FOUND[found], community, mappings)


@pytest.mark.parametrize("sample", sorted((ROOT / "mappings").rglob("*.hl7")), ids=lambda path: path.stem)
def test_every_sample_holds_and_so_does_each_half_of_it(
    sample: Path, community: Community, mappings: MappingSet
) -> None:
    payload = sample.read_bytes()
    walk_holds(payload, community, mappings)
    walk_holds(payload[: len(payload) // 2], community, mappings)
    walk_holds(payload[len(payload) // 2 :], community, mappings)

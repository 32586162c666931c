"""One AE title may stand in several entries of a channel, as long as a caller can be of only one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import InvalidConfiguration, load

COMMUNITY = "name: 青溪县\nfacilities:\n  a: {name: 甲, level: township}\n  b: {name: 乙, level: township}\n"
TLS = "tls: {certificate: hub.pem, key: hub.key, client_ca: ca.pem}\n"


def problems(folder: Path, *entries: str) -> list[str]:
    """What is wrong with the entries; certificates that are not there are none of them."""
    (folder / "channels").mkdir()
    (folder / "community.yaml").write_text(COMMUNITY, encoding="utf-8")
    listed = "".join(f"  - {{ae_title: CT, {entry}}}\n" for entry in entries)
    text = f"type: dicom\nae_title: HUTONG\nae_entries:\n{listed}{TLS}"
    (folder / "channels" / "imaging.yaml").write_text(text, encoding="utf-8")
    try:
        load(folder)
    except InvalidConfiguration as wrong:
        return [str(one) for one in wrong.problems if one.where != "tls.certificate"]
    return []


APART = [
    ("facility: a, address: 10.0.0.1", "facility: b, address: 10.0.0.2"),
    ("facility: a, address: ct-a", "facility: b, address: ct-b"),
    ("facility: a, client_names: [ct.a]", "facility: b, client_names: [ct.b]"),
    ("facility: a, address: 10.0.0.1, client_names: [ct]", "facility: b, address: 10.0.0.2, client_names: [ct]"),
    ("facility: a, address: 10.0.0.1, client_names: [ct.a]", "facility: b, address: 10.0.0.1"),
    ("facility: a, address: 10.0.0.1", "facility: b"),
    ("facility: a, address: 10.0.0.1, port: 104", "facility: b, address: 10.0.0.2"),
]


@pytest.mark.parametrize("entries", APART)
def test_what_a_caller_shows_tells_them_apart(tmp_path: Path, entries: tuple[str, ...]) -> None:
    assert problems(tmp_path, *entries) == []


FIRST_TAKES_ALL = (
    "expected ae_entries[1] to have an address or client_names, because it takes every caller of the title 'CT'"
)
THE_SAME = "expected another address or other client_names than in ae_entries[1], which takes these callers of 'CT' too"
TWO_LISTEN = (
    "expected a port in one entry of a title, because what is sent to 'CT' goes to one device; "
    "ae_entries[1] has one: change the title of one device, or leave one port away"
)
MIXED_UP = [
    ("facility: a", "facility: b", "ae_title", FIRST_TAKES_ALL),
    ("facility: a", "facility: b, address: 10.0.0.2", "ae_title", FIRST_TAKES_ALL),
    ("facility: a, address: 10.0.0.1", "facility: b, address: 10.0.0.1", "ae_title", THE_SAME),
    ("facility: a, address: 10.0.0.1", "facility: b, address: '::ffff:10.0.0.1'", "ae_title", THE_SAME),
    ("facility: a, address: CT-A", "facility: b, address: ct-a", "ae_title", THE_SAME),
    ("facility: a, address: 10.0.0.1", "facility: b, address: 10.0.0.1, client_names: [b]", "ae_title", THE_SAME),
    ("facility: a, client_names: [x, y]", "facility: b, client_names: [Y, z]", "ae_title", THE_SAME),
    ("facility: a, address: 10.0.0.1, port: 104", "facility: b, address: 10.0.0.2, port: 104", "port", TWO_LISTEN),
]


@pytest.mark.parametrize(("first", "second", "key", "said"), MIXED_UP)
def test_what_nobody_could_tell_apart_is_refused_with_what_to_add(
    tmp_path: Path, first: str, second: str, key: str, said: str
) -> None:
    assert problems(tmp_path, first, second) == [f"channels/imaging.yaml:5: ae_entries[2].{key}: {said}"]


def test_a_third_is_compared_with_each_before_it_and_told_of_once(tmp_path: Path) -> None:
    hosts = "facility: a, address: 10.0.0.1", "facility: b, address: 10.0.0.2"
    told = problems(tmp_path, *hosts, "facility: b", "facility: a")
    assert told == [
        "channels/imaging.yaml:7: ae_entries[4].ae_title: "
        "expected ae_entries[3] to have an address or client_names, because it takes every caller of the title 'CT'"
    ]

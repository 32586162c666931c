"""Of entries with one AE title the first whose host and certificate are the caller's says who it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config import AeEntry, DicomChannel, load
from engine.config.transport import ListenerTls
from engine.identifiers import ae_destination, title_of
from pacs_gateway.scp.callers import Caller, Callers

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"
A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"
TLS = ListenerTls(certificate="hub.pem", key="hub.key", client_ca="ca.pem")


def entry(facility: str, **settings: Any) -> AeEntry:
    return AeEntry(ae_title="CT", facility=facility, **settings)


def channel(*entries: AeEntry, **settings: Any) -> DicomChannel:
    return DicomChannel(type="dicom", name="imaging", ae_title="HUTONG", ae_entries=entries, tls=TLS, **settings)


def shown(name: str) -> dict[str, Any]:
    """A certificate as `ssl` reports it."""
    return {"subjectAltName": (("DNS", name),)}


async def facility_of(host: str, certificate: str, *entries: AeEntry, **settings: Any) -> str | None:
    caller = await Callers(channel(*entries, **settings)).admit("CT", host, shown(certificate))
    return caller.facility if isinstance(caller, Caller) else None


@pytest.mark.parametrize(("host", "facility"), [(A, "a"), (B, "b"), (C, None)])
async def test_the_host_tells_them_apart(host: str, facility: str | None) -> None:
    assert await facility_of(host, "any", entry("a", address=A), entry("b", address=B)) == facility


@pytest.mark.parametrize(("name", "facility"), [("ct.a", "a"), ("CT.B", "b"), ("ct.c", None)])
async def test_the_certificate_tells_them_apart(name: str, facility: str | None) -> None:
    entries = entry("a", client_names=("ct.a",)), entry("b", client_names=("ct.b",))
    assert await facility_of(A, name, *entries) == facility


@pytest.mark.parametrize(("host", "facility"), [(A, "a"), (B, "rest"), (C, "rest")])
async def test_the_last_may_be_for_everybody_else(host: str, facility: str) -> None:
    assert await facility_of(host, "any", entry("a", address=A), entry("rest")) == facility


async def test_who_has_a_title_of_entries_and_comes_from_elsewhere_is_not_counted_to_the_default_facility() -> None:
    entries = entry("a", address=A), entry("b", address=B)
    assert await facility_of(C, "any", *entries, default_facility="county") is None


async def test_what_an_entry_allows_is_not_allowed_to_its_namesake() -> None:
    callers = Callers(channel(entry("a", address=A, private_classes=True), entry("b", address=B)))
    allowed = [await callers.admit("CT", host, None) for host in (A, B)]
    assert [caller.private_classes if isinstance(caller, Caller) else None for caller in allowed] == [True, False]


async def test_results_for_one_that_does_not_listen_do_not_go_to_its_namesake_that_does() -> None:
    callers = Callers(channel(entry("a", address=A, port=104), entry("b", address=B)))
    admitted = [await callers.admit("CT", host, None) for host in (A, B)]
    first, second = (caller.destination if isinstance(caller, Caller) else "" for caller in admitted)
    assert first == ae_destination("imaging", "CT") == "ae:imaging/CT"
    assert second == ae_destination("imaging", "CT", "b") == "ae:imaging:b/CT"
    assert title_of(first) == title_of(second) == "CT"


def test_one_name_stands_once_among_those_whom_something_may_be_owed() -> None:
    community = load(EXAMPLE)
    twins = channel(entry("a", address=A, port=104), entry("b", address=B), entry("b", address=C))
    changed = community.model_copy(update={"channels": {"imaging": twins}, "endpoints": {}})
    assert changed.destinations == ["ae:imaging/CT", "ae:imaging:b/CT"]

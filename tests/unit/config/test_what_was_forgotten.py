"""A configuration that loads may still leave a facility's orders or reports without a way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.config import DicomChannel, load
from engine.config.gaps import gaps

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"
FACILITY = "  shimen:\n    name: 石门乡卫生院\n    level: township\n"
ENDPOINT = "type: mllp\nfacility: shimen\naddress: mllp://127.0.0.1:2599\n"


@pytest.fixture
def county(tmp_path: Path) -> Path:
    """The example with one more township centre that has a channel, and nothing else."""
    folder = tmp_path / "county"
    shutil.copytree(EXAMPLE, folder)
    with (folder / "community.yaml").open("a", encoding="utf-8") as file:
        file.write(FACILITY)
    (folder / "channels/shimen-his.yaml").write_text("type: mllp\nfacility: shimen\nport: 2599\n", encoding="utf-8")
    return folder


def route_its_orders(county: Path) -> None:
    routes = county / "routes.yaml"
    text = routes.read_text(encoding="utf-8")
    routes.write_text(text.replace("[baishi, qingxi, liushu]", "[baishi, qingxi, liushu, shimen]", 1), encoding="utf-8")


def give_it_a_modality(county: Path) -> None:
    imaging = county / "channels/imaging.yaml"
    text = imaging.read_text(encoding="utf-8")
    entry = "ae_entries:\n  - {ae_title: SMDR, facility: shimen}\n"
    imaging.write_text(text.replace("ae_entries:\n", entry, 1), encoding="utf-8")


def test_nothing_is_forgotten_in_the_example() -> None:
    assert list(gaps(load(EXAMPLE))) == []


def test_a_facility_whose_orders_no_route_takes_is_named(county: Path) -> None:
    (told,) = gaps(load(county))
    assert told.startswith("no route takes the orders of shimen")


def test_a_facility_whose_reports_cannot_come_back_is_named(county: Path) -> None:
    route_its_orders(county)
    give_it_a_modality(county)
    (told,) = gaps(load(county))
    assert told.startswith("shimen has no endpoint")


def test_a_facility_that_orders_images_and_may_send_none_is_named(county: Path) -> None:
    route_its_orders(county)
    (county / "endpoints/shimen-his.yaml").write_text(ENDPOINT, encoding="utf-8")
    (told,) = gaps(load(county))
    assert told.startswith(
        "shimen orders images (CR, CT, DX, MR, US) and no modality of it may send them: give it an AE"
    )


def test_a_facility_with_a_route_an_endpoint_and_a_modality_lacks_nothing(county: Path) -> None:
    route_its_orders(county)
    give_it_a_modality(county)
    (county / "endpoints/shimen-his.yaml").write_text(ENDPOINT, encoding="utf-8")
    assert list(gaps(load(county))) == []


def test_a_route_that_names_no_facility_takes_the_orders_of_all(county: Path) -> None:
    give_it_a_modality(county)
    routes = county / "routes.yaml"
    text = routes.read_text(encoding="utf-8")
    routes.write_text(text.replace("      from_facilities: [baishi, qingxi, liushu]\n", "", 1), encoding="utf-8")
    (county / "endpoints/shimen-his.yaml").write_text(ENDPOINT, encoding="utf-8")
    assert list(gaps(load(county))) == []


def test_who_is_called_in_plain_text_on_a_channel_with_tls_is_named() -> None:
    example = load(EXAMPLE)
    where = {"facility": "baishi", "address": "ws", "port": 104}
    entries = [
        {"ae_title": "OPEN", **where},
        {"ae_title": "PROTECTED", **where, "tls": {}},
        {"ae_title": "CALLS_ONLY", "facility": "baishi"},
    ]
    protected = {"certificate": "hub.pem", "key": "hub.key"}
    settings = {"type": "dicom", "name": "secure", "ae_title": "HUTONG", "ae_entries": entries, "tls": protected}
    channels = {**example.channels, "secure": DicomChannel.model_validate(settings)}
    (told,) = gaps(example.model_copy(update={"channels": channels}))
    assert told.startswith("OPEN is called in plain text although channel secure has tls")

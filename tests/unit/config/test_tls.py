"""Certificates are looked at when the configuration is read: what cannot be used is told with file and line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from engine.config import InvalidConfiguration, load
from engine.config.transport import Network, allows

COMMUNITY = "name: 青溪县\nfacilities:\n  baishi: {name: 白石乡卫生院, level: township}\n"
CHANNEL = "type: mllp\nfacility: baishi\nport: 0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("hub", "other"):
        certificate = authority.issue_cert("hub.example", not_after=datetime(2050, 1, 1, tzinfo=UTC))
        certificate.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nno\n", encoding="utf-8")
    community = tmp_path / "community"
    (community / "channels").mkdir(parents=True)
    (community / "endpoints").mkdir()
    (community / "community.yaml").write_text(COMMUNITY, encoding="utf-8")
    return community


def channel(folder: Path, more: str) -> None:
    (folder / "channels" / "his.yaml").write_text(CHANNEL + more, encoding="utf-8")


def imaging(folder: Path, more: str) -> None:
    (folder / "channels" / "imaging.yaml").write_text("type: dicom\nae_title: HUTONG\n" + more, encoding="utf-8")


def endpoint(folder: Path, more: str) -> None:
    text = "type: mllp\nfacility: baishi\naddress: mllp://127.0.0.1:2575\n" + more
    (folder / "endpoints" / "his.yaml").write_text(text, encoding="utf-8")


def problem(folder: Path) -> str:
    with pytest.raises(InvalidConfiguration) as raised:
        load(folder)
    (only,) = raised.value.problems
    return str(only)


def test_good_certificates_are_accepted_with_paths_from_the_folder(folder: Path) -> None:
    channel(
        folder, "tls: {certificate: ../hub.pem, key: ../hub.key, client_ca: ../ca.pem, client_names: [his.example]}"
    )
    endpoint(folder, "tls: {ca: ../ca.pem, certificate: ../hub.pem, key: ../hub.key, server_name: his.example}")
    community = load(folder)
    assert community.mllp_channels[0].tls is not None
    assert community.endpoints["his"].tls is not None


# what stands below `tls:` of a channel → what is said of it
WRONG = {
    "{certificate: ../absent.pem, key: ../hub.key}": "tls.certificate: expected a file that can be read: ",
    "{certificate: ../hub.pem, key: ../other.key}": "tls.key: expected the key of the certificate",
    "{certificate: ../broken.pem, key: ../hub.key}": "tls.certificate: expected a certificate and its key in PEM",
    "{certificate: ../hub.pem, key: ../hub.key, client_ca: ../hub.key}": "tls.client_ca: expected certificates",
    "{certificate: ../hub.pem, key: ../hub.key, client_names: [a]}": "tls: expected client_ca, because client_names",
    "{certificate: ../hub.pem}": "tls.key: expected this key, which is missing",
    "{certificate: ../hub.pem, key: ../hub.key, ca: ../ca.pem}": "tls.ca: unknown key",
}


@pytest.mark.parametrize("written", WRONG)
def test_what_cannot_be_used_is_told_with_its_line(folder: Path, written: str) -> None:
    channel(folder, f"tls: {written}")
    told = problem(folder)
    assert told.startswith("channels/his.yaml:4: ")
    assert WRONG[written] in told


NAMED = "ae_entries: [{ae_title: CT, facility: baishi, client_names: [ct.example]}]\n"


def test_dicom_is_protected_with_the_same_keys(folder: Path) -> None:
    imaging(folder, NAMED + "tls: {certificate: ../hub.pem, key: ../hub.key, client_ca: ../ca.pem}")
    (channel,) = load(folder).dicom_channels
    assert channel.tls is not None
    assert channel.ae_entries[0].client_names == ("ct.example",)


# what stands below an entry that asks for a certificate → what is said of it
UNPROTECTED = {
    "": "expected tls.client_ca, because client_names can only be read from a verified certificate",
    "tls: {certificate: ../hub.pem, key: ../hub.key}": "expected tls.client_ca, because client_names",
    "tls: {certificate: ../absent.pem, key: ../hub.key, client_ca: ../ca.pem}": ":4: tls.certificate: expected a file",
}


@pytest.mark.parametrize("written", UNPROTECTED)
def test_an_entry_can_ask_for_a_certificate_only_where_one_is_shown(folder: Path, written: str) -> None:
    imaging(folder, NAMED + written)
    told = problem(folder)
    assert told.startswith("channels/imaging.yaml")
    assert UNPROTECTED[written] in told


CALLED = "ae_entries:\n  - {ae_title: CT, facility: baishi}\n  - {ae_title: WS, facility: baishi, "
WHERE = "address: ws, port: 104, "


def test_an_entry_may_be_called_with_the_keys_of_an_endpoint(folder: Path) -> None:
    imaging(folder, CALLED + WHERE + "tls: {ca: ../ca.pem, certificate: ../hub.pem, key: ../hub.key}}")
    (channel,) = load(folder).dicom_channels
    assert [entry.tls.ca if entry.tls is not None else None for entry in channel.ae_entries] == [None, "../ca.pem"]


# what stands in the entry of whom we call → what is said of it
WRONGLY_CALLED = {
    "tls: {ca: ../ca.pem}": "expected address and port beside tls: where it is called",
    WHERE + "tls: {certificate: ../hub.pem}": "tls: expected certificate and key together",
    WHERE + "tls: {certificate: ../hub.pem, key: ../other.key}": "tls.key: expected the key of the certificate",
    WHERE + "tls: {ca: ../absent.pem}": "tls.ca: expected a file that can be read: ",
    WHERE + "tls: {client_ca: ../ca.pem}": "tls.client_ca: unknown key",
}


@pytest.mark.parametrize("written", WRONGLY_CALLED)
def test_an_entry_that_cannot_be_called_so_is_told_with_its_line(folder: Path, written: str) -> None:
    imaging(folder, CALLED + written + "}")
    told = problem(folder)
    assert told.startswith("channels/imaging.yaml:5: ae_entries[2]")
    assert WRONGLY_CALLED[written] in told


def test_an_endpoint_s_certificate_comes_with_its_key(folder: Path) -> None:
    endpoint(folder, "tls: {certificate: ../hub.pem}")
    assert problem(folder) == "endpoints/his.yaml:4: tls: expected certificate and key together"


def test_a_network_that_is_none_is_told(folder: Path) -> None:
    channel(folder, "allow_from: [10.1.0.0/16, 10.1.2.3/16]")
    assert problem(folder) == (
        "channels/his.yaml:4: allow_from[2]: expected an address or a network, such as 10.1.2.3 or 10.1.0.0/16"
    )


# networks, address, whether it may connect
ADDRESSES = [
    ("", "10.1.2.3", True),
    ("10.1.0.0/16", "10.1.2.3", True),
    ("10.1.0.0/16", "10.2.2.3", False),
    ("10.1.2.3, fd00::/8", "fd00::1%eth0", True),
    ("10.1.0.0/16", "::ffff:10.1.2.3", True),
    ("10.1.0.0/16", "fd00::1", False),
    ("0.0.0.0/0", "", False),
    ("0.0.0.0/0", "/run/socket", False),
]


@pytest.mark.parametrize(("networks", "address", "allowed"), ADDRESSES)
def test_an_address_is_allowed_by_the_networks_named(folder: Path, networks: str, address: str, allowed: bool) -> None:
    channel(folder, f"allow_from: [{networks}]")
    named: tuple[Network, ...] = load(folder).mllp_channels[0].allow_from
    assert allows(named, address) is allowed

"""A certificate that ends soon, has ended or cannot be used is told of before a browser refuses it."""

from __future__ import annotations

import json
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
import trustme

from engine import config
from engine.cli import doctor, hub
from engine.clock import now
from engine.config.tls import trusting_only
from engine.errors import ConfigurationError


def configured(folder: Path, valid_for: timedelta | None, key: str = "hub.key") -> Path:
    """A community whose browser's port and one channel show a certificate that is valid for so long from now."""
    folder.mkdir()
    (folder / "channels").mkdir()
    tls = {"certificate": "hub.pem", "key": key}
    told = {"name": "青溪", "facilities": {"qx": {"name": "青溪", "level": "county"}}, "http": {"port": 0, "tls": tls}}
    (folder / "community.yaml").write_text(json.dumps(told), encoding="utf-8")
    channel = {"type": "mllp", "facility": "qx", "port": 0, "tls": {**tls, "client_ca": "hub.pem"}}
    (folder / "channels" / "his.yaml").write_text(json.dumps(channel), encoding="utf-8")
    if valid_for is not None:
        issued = trustme.CA().issue_cert("hub.example", not_after=now() + valid_for)
        issued.private_key_pem.write_to_path(folder / "hub.key")
        (folder / "hub.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    return folder


@pytest.mark.parametrize(
    ("valid_for", "state", "told"),
    [
        (timedelta(days=300), doctor.State.GOOD, "2 valid for 30 days"),
        (timedelta(days=10), doctor.State.DOUBTFUL, "http: hub.pem is valid until 2"),
        (timedelta(seconds=-60), doctor.State.DOUBTFUL, "his: hub.pem is refused: certificate has expired"),
    ],
)
def test_doctor_says_until_when_they_are_valid(
    tmp_path: Path, valid_for: timedelta, state: doctor.State, told: str
) -> None:
    (check,) = doctor.certificates(config.load(configured(tmp_path / "c", valid_for)))
    assert check.state is state
    assert told in check.found


def test_where_nobody_listens_with_one_nothing_is_said() -> None:
    example = config.load(Path(__file__).parents[3] / "docker" / "example")
    assert doctor.certificates(example) == []


@pytest.mark.parametrize(("key", "named"), [("none.key", "http.tls.key"), ("hub.pem", "http.tls.certificate")])
def test_a_key_that_is_none_is_named_by_its_place_in_the_configuration(tmp_path: Path, key: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        config.load(configured(tmp_path / "c", timedelta(days=1), key))


def test_the_hub_of_this_machine_is_known_by_its_own_certificate_alone(tmp_path: Path) -> None:
    folder = configured(tmp_path / "c", timedelta(days=1))
    assert trusting_only(folder / "hub.pem").verify_mode is ssl.CERT_REQUIRED
    assert trusting_only(folder / "hub.pem").check_hostname is False
    (tmp_path / "admin.token").write_text("hutong_x")
    (tmp_path / "run.json").write_text(json.dumps({"http": "https://127.0.0.1:1", "http_certificate": "/nowhere.pem"}))
    with pytest.raises(ConfigurationError, match=r"/nowhere\.pem"):
        hub.find_hub(tmp_path, None)


def test_who_asks_from_elsewhere_names_the_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = configured(tmp_path / "c", timedelta(days=1))
    monkeypatch.setenv(hub.TOKEN, "hutong_x")
    assert hub.find_hub(None, "https://hub.example").trusts is True
    monkeypatch.setenv(hub.AUTHORITIES, str(folder / "hub.pem"))
    assert isinstance(hub.find_hub(None, "https://hub.example").trusts, ssl.SSLContext)
    monkeypatch.setenv(hub.AUTHORITIES, str(folder / "community.yaml"))
    with pytest.raises(ConfigurationError, match="HUTONG_CA"):
        hub.find_hub(None, "https://hub.example")

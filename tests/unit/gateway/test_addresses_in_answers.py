"""Where do the addresses in DICOMweb answers lead? To whatever the client reached, also when it leaves out the port."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from pacs_gateway.dicomweb.routes import base_of


def base(host: str, *, scheme: str = "http", server: tuple[str, int | None] | None = ("127.0.0.1", 8080)) -> str:
    headers = [(b"host", host.encode())]
    return base_of(Request({"type": "http", "scheme": scheme, "server": server, "path": "/", "headers": headers}))


@pytest.mark.parametrize(
    ("host", "server", "names"),
    [
        ("127.0.0.1", ("127.0.0.1", 8080), "127.0.0.1:8080"),
        ("localhost", ("127.0.0.1", 8080), "localhost:8080"),
        ("localhost", ("::1", 8080), "localhost:8080"),
        ("10.1.2.3", ("10.1.2.3", 8080), "10.1.2.3:8080"),
        ("[fd00::1]", ("fd00::1", 8080), "[fd00::1]:8080"),
    ],
)
def test_a_client_that_leaves_out_the_port_gets_addresses_that_lead_to_it(
    host: str, server: tuple[str, int], names: str
) -> None:
    assert base(host, server=server) == f"http://{names}/dicomweb"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "127.0.0.1:9", "hub.example", "hub.example:81", "10.1.2.3", "[::1]"]
)
def test_what_a_client_or_its_proxy_names_otherwise_stands(host: str) -> None:
    assert base(host) == f"http://{host}/dicomweb"


def test_localhost_is_no_name_of_an_address_in_the_network() -> None:
    assert base("localhost", server=("10.1.2.3", 8080)) == "http://localhost/dicomweb"


def test_the_usual_port_of_a_scheme_is_not_written_out() -> None:
    assert base("10.1.2.3", server=("10.1.2.3", 80)) == "http://10.1.2.3/dicomweb"
    assert base("10.1.2.3", scheme="https", server=("10.1.2.3", 443)) == "https://10.1.2.3/dicomweb"
    assert base("10.1.2.3", scheme="https", server=("10.1.2.3", 80)) == "https://10.1.2.3:80/dicomweb"


@pytest.mark.parametrize("server", [None, ("/run/hub.sock", None)])
def test_a_connection_without_a_port_adds_none(server: tuple[str, None] | None) -> None:
    assert base("127.0.0.1", server=server) == "http://127.0.0.1/dicomweb"

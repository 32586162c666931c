"""A hub with a certificate answers browsers and commands over TLS, and nobody in plain text."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from engine.cli.hub import find_hub
from tests.integration.faults.community import community
from tests.integration.faults.serving import serving


async def test_a_hub_with_a_certificate_is_asked_over_tls_alone(database_url: str, tmp_path: Path) -> None:
    files = community({"his": {}})
    told = files["community"]
    assert isinstance(told, dict)
    told["http"] = {"port": 0, "tls": {"certificate": "hub.pem", "key": "hub.key"}}
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    with serving(files, only="web", database_url=database_url) as hub:
        certificate.private_key_pem.write_to_path(hub.config / "hub.key")
        (hub.config / "hub.pem").write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
        authority.cert_pem.write_to_path(tmp_path / "authority.pem")
        await hub.start()
        address = hub.run["http"]
        assert address.startswith("https://")
        trusting = ssl.create_default_context(cafile=tmp_path / "authority.pem")
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as browser:
            assert (await browser.get(f"{address}/health")).status_code == 200
            studies = await browser.get(f"{address}/dicomweb/studies")
            assert studies.status_code == 401
        status = await asyncio.to_thread(find_hub(hub.data, None).get, "/api/status")
        assert status
        async with httpx.AsyncClient(trust_env=False) as stranger:
            with pytest.raises(httpx.HTTPError):
                await stranger.get(f"{address}/health")  # signed by nobody it knows
            with pytest.raises(httpx.HTTPError):
                await stranger.get(address.replace("https://", "http://") + "/health")
        await hub.stop()

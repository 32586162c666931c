"""A running hub sends what a modality sent it on to the systems of its configuration, and shows that it did."""

from __future__ import annotations

import asyncio
import json

import pydicom
import pytest
from pydicom.uid import JPEGLSLossless

from engine.cli.main import main
from tests.integration.faults.community import community
from tests.integration.faults.serving import Served, free_port, serving, until
from tests.integration.gateway.owing import system
from tests.integration.gateway.sending import SUCCESS, real, send_raw

CHANNELS = {
    "his": {},
    "imaging": {"type": "dicom", "ae_title": "HUTONG", "port": 0, "quiet_secs": 0.2, "default_facility": "baishi"},
}
ROUTES = ({"id": "ct-to-the-city", "when": {"event": "study", "modalities": ["CT"]}, "to": {"endpoints": ["city"]}},)


async def test_a_study_reaches_the_system_that_a_route_names(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    city = {"type": "dicom", "host": "127.0.0.1", "port": port, "ae_title": "PACS", "transfer_syntax": "jpeg-ls"}
    study_uid = str(pydicom.dcmread(real("CT_small"), stop_before_pixels=True).StudyInstanceUID)
    with serving(community(CHANNELS, {"city": city}, ROUTES)) as hub, system(port) as pacs:
        await hub.start()
        dicom = json.loads((hub.data / "run.json").read_text())["dicom"]["port"]
        files = [real("CT_small"), real("MR_small")]  # the route names only one of them
        assert await asyncio.to_thread(send_raw, dicom, files) == [SUCCESS] * 2
        said = await until("the study has arrived", lambda: _traced(hub, study_uid, capsys), within_secs=120)
        assert list(pacs.syntaxes.values()) == [JPEGLSLossless]
        assert "ct-to-the-city" in said
        await hub.stop()


async def _traced(hub: Served, study_uid: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What `hutong trace` says of a study, once that has a receipt; empty before."""

    def trace() -> None:
        try:
            main(["trace", study_uid, "--data", str(hub.data)])
        except SystemExit:
            return

    await asyncio.to_thread(trace)
    said = capsys.readouterr().out
    return said if '"arrived": 1' in said else ""

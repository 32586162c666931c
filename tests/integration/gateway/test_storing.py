"""An object sent to the gateway is kept exactly, indexed and announced to the engine."""

from __future__ import annotations

import json

import pydicom


async def test_a_known_station_is_echoed(gateway, dcmtk):
    said = await dcmtk("echoscu", "-aet", "DR_BAISHI", "-aec", "HUTONG", "127.0.0.1", gateway.port)
    assert said.code == 0, said.output


async def test_a_station_in_no_entry_is_refused_by_name(gateway, dcmtk):
    said = await dcmtk("echoscu", "-aet", "STRANGER", "-aec", "HUTONG", "127.0.0.1", gateway.port)
    assert said.code != 0
    assert "Calling AE Title Not Recognized" in said.output


async def test_a_stored_object_is_announced_once_it_is_quiet(gateway, dcmtk, intake, radiograph, pool):
    file = radiograph()
    sent = pydicom.dcmread(file)
    said = await dcmtk("storescu", "-v", "-aet", "DR_BAISHI", "-aec", "HUTONG", "127.0.0.1", gateway.port, file)
    assert said.code == 0, said.output
    submitted = await intake.of(sent.StudyInstanceUID)
    manifest = json.loads(submitted.payload)
    assert manifest["series"][0]["instances"][0]["sop_uid"] == sent.SOPInstanceUID

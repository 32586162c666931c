"""Tools and messages that nobody here wrote, against `hutong serve`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from conformance.errors import UnexpectedAnswerError
from conformance.hl7_files import messages_in
from conformance.simulators.http import HubHttp
from conformance.waiting import until

if TYPE_CHECKING:
    from tests.acceptance.conftest import RunningHub

pytestmark = pytest.mark.acceptance

MESSAGES = Path(__file__).parents[1] / "fixtures" / "hl7v2"
FINISHED = {"processed", "held", "skipped"}
PATIENCE_SECS = 180


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECS, check=False)


def dicom(tool: str, hub: RunningHub, *arguments: str) -> subprocess.CompletedProcess[str]:
    called = ("-aet", "DR_BAISHI", "-aec", hub.sockets.ae_title, "127.0.0.1", str(hub.sockets.dicom_port))
    return run(tool, *called, *arguments)


def real_radiograph() -> Path:
    path = get_testdata_file("RG3_UNCI.dcm", download=False)
    assert isinstance(path, str)
    return Path(path)


def test_echoscu_of_dcmtk_is_answered(hub: RunningHub) -> None:
    answered = dicom("echoscu", hub)
    assert answered.returncode == 0, answered.stderr


def test_the_tools_of_dcmtk_work_with_their_own_ae_titles(hub: RunningHub) -> None:
    there = ("-aec", "HUTONG", "127.0.0.1", str(hub.sockets.dicom_port))
    assert run("echoscu", *there).returncode == 0
    assert run("storescu", *there, str(real_radiograph())).returncode == 0
    assert run("findscu", "-W", "-k", "0040,0100[0].0008,0060", *there).returncode == 0


def test_a_stranger_is_refused(hub: RunningHub) -> None:
    stranger = run("echoscu", "-aet", "NOBODY", "-aec", "HUTONG", "127.0.0.1", str(hub.sockets.dicom_port))
    assert stranger.returncode != 0


def test_storescu_of_dcmtk_stores_an_object_that_can_be_found(hub: RunningHub) -> None:
    path = real_radiograph()
    stored = dicom("storescu", hub, str(path))
    assert stored.returncode == 0, stored.stderr
    study = dcmread(path, stop_before_pixels=True).StudyInstanceUID

    async def instances() -> list[Any]:
        async with HubHttp(hub.sockets.http, hub.administrator) as http:

            async def found() -> list[Any] | None:
                with suppress(UnexpectedAnswerError):  # its index row follows the answer
                    return list(await http.get(f"/dicomweb/studies/{study}/instances"))
                return None

            return await until("the study is listed", found, within_secs=PATIENCE_SECS)

    assert len(asyncio.run(instances())) == 1


def test_hutong_send_stores_the_same_file_again_as_a_repeat(hub: RunningHub) -> None:
    address = f"dicom://{hub.sockets.ae_title}@127.0.0.1:{hub.sockets.dicom_port}"
    sent = run(
        sys.executable,
        "-m",
        "engine.cli.main",
        "send",
        str(real_radiograph()),
        "--to",
        address,
        "--calling",
        "DR_BAISHI",
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert sent.stdout.startswith("0000")


@pytest.fixture(scope="module")
def sent_messages(hub: RunningHub) -> Counter[str]:
    """Every real message, sent on one channel; how often each control id was sent."""
    files = sorted(MESSAGES.glob("*.hl7"))
    assert len(files) > 50
    to = f"mllp://127.0.0.1:{hub.sockets.mllp['county-his']}"
    sent = run(sys.executable, "-m", "engine.cli.main", "send", *map(str, files), "--to", to)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    return Counter(message.control_id for file in files for message in messages_in(file.read_bytes()))


def test_every_real_message_can_be_followed_to_its_records_or_its_finding(
    hub: RunningHub, sent_messages: Counter[str]
) -> None:
    async def follow() -> None:
        async with HubHttp(hub.sockets.http, hub.administrator) as http:

            async def ended(envelope: dict[str, Any]) -> bool:
                if envelope["state"] in FINISHED or not envelope["waits_for"]:
                    return envelope["state"] in FINISHED
                return bool((await http.get(f"/api/envelopes/{envelope['waits_for'][0]}"))["state"] == "held")

            for control_id in filter(None, sent_messages):

                async def finished(word: str = control_id) -> list[dict[str, Any]] | None:
                    found = (await http.get("/api/trace", word=word))["envelopes"]
                    named = [each for each in found if each["control_id"] == word]
                    return named if all([await ended(each) for each in named]) else None

                await until(f"what became of {control_id}", finished, within_secs=PATIENCE_SECS)
                # Asked once more: what a message became is written at once, but an answer is read in several steps.
                envelopes = await finished()
                assert envelopes, control_id
                for envelope in envelopes:
                    # What waits behind a held message of the same patient names the one that holds it.
                    assert envelope["resources"] or envelope["findings"] or envelope["waits_for"], envelope

    asyncio.run(follow())


def test_hutong_trace_tells_of_a_message_that_was_sent(hub: RunningHub, sent_messages: Counter[str]) -> None:
    control_id = next(word for word in sent_messages if len(word) > 3)
    traced = subprocess.run(
        [sys.executable, "-m", "engine.cli.main", "trace", control_id, "--data", str(hub.data), "--json"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECS,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert traced.returncode == 0, traced.stderr
    assert control_id in traced.stdout

"""One examination goes out and comes back: `hutong demo --headless`, as a newcomer starts it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydicom.data import get_testdata_file

pytestmark = pytest.mark.acceptance

LIMIT_SECS = 60
"""Of processor time, for the whole demo: how long it takes depends on what else the machine does."""
PATIENCE_SECS = 300


@dataclass(frozen=True)
class Usual:
    """What a demo printed, what happened in it, what it used, and what still ran afterwards."""

    out: str
    told: dict[str, Any]
    processor_secs: float
    left: list[str]


def start(scratch: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "engine.cli.main", "demo", "--headless", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        env={**os.environ, "TMPDIR": str(scratch), "PYTHONIOENCODING": "utf-8"},
    )


def played(scratch: Path, *options: str) -> tuple[str, dict[str, Any]]:
    """What was printed, and what happened as JSON."""
    process = start(scratch, "--report", str(scratch / "report.json"), *options)
    out, _ = process.communicate(timeout=PATIENCE_SECS)
    assert process.returncode == 0, out
    return out, json.loads((scratch / "report.json").read_text(encoding="utf-8"))


def processor_secs() -> float:
    """What processes that we started, and those that they started, have used until they ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def left_over(scratch: Path) -> list[str]:
    """Processes that were started for this scratch folder and go on running: one that is ending is given its time."""
    ours = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(scratch) in word for word in process.info["cmdline"] or ())
    ]
    _, alive = psutil.wait_procs(ours, timeout=PATIENCE_SECS)
    return [" ".join(process.info["cmdline"]) for process in alive]


def folder_for(factory: pytest.TempPathFactory) -> Path:
    """A folder that the database's own account may pass through."""
    folder = factory.mktemp("demo")
    for each in (folder, folder.parent, folder.parent.parent):
        if each.owner() == folder.owner() and each != Path(each.anchor):
            each.chmod(each.stat().st_mode | 0o011)
    return folder


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_for(tmp_path_factory)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Usual:
    """The demo without any option."""
    folder = folder_for(tmp_path_factory)
    before = processor_secs()
    out, told = played(folder)
    return Usual(out, told, processor_secs() - before, left_over(folder))


def test_every_step_of_the_story_happens(usual: Usual) -> None:
    steps = {(step["thread"], step["number"]) for step in usual.told["steps"]}
    assert steps == {*(("胸部DR", n) for n in range(1, 10)), *(("十二导联心电图", n) for n in range(1, 9))}
    assert usual.processor_secs < LIMIT_SECS
    assert "全部完成" in usual.out
    assert usual.left == []


def test_the_returned_report_follows_patient_accession_image_and_conclusion(scratch: Path) -> None:
    another = get_testdata_file("RG3_J2KI.dcm", download=False)
    assert isinstance(another, str)
    conclusion = "右胫骨下段偏心性囊状透亮区，考虑非骨化性纤维瘤；随访|复查^半年~后。"
    options = {
        "--patient-name": "詹瑋",
        "--patient-id": "BS-7 7",
        "--accession": "ACC2026-0099",
        "--image": another,
        "--conclusion": conclusion,
    }
    out, told = played(scratch, *(word for option in options.items() for word in option))
    returned = told["examinations"]["baishi"]
    oru = returned["oru"]
    assert (oru["patient_name"], oru["patient_id"], oru["accession"]) == ("詹瑋", "BS-7 7", "ACC2026-0099")
    assert oru["status"] == "F"
    assert conclusion in oru["texts"]
    assert (returned["picture"]["columns"], returned["picture"]["rows"]) == (1760, 1760)
    assert told["recognition"]["conclusion"] == conclusion
    assert conclusion in out


def test_the_report_comes_back_in_the_charset_of_the_one_who_asked(usual: Usual) -> None:
    told = usual.told
    baishi = b64decode(told["examinations"]["baishi"]["oru"]["payload_base64"])
    qingxi = b64decode(told["examinations"]["qingxi"]["oru"]["payload_base64"])
    assert "|周珅|".encode("gb18030") in baishi.replace(b"^", b"|")
    assert "欧阳春燕".encode() in qingxi
    with pytest.raises(UnicodeDecodeError):
        baishi.decode("utf-8")
    qingxi.decode("utf-8")


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_runs_on_however_the_demo_is_ended(scratch: Path, by: signal.Signals) -> None:
    process = start(scratch)
    assert process.stdout is not None
    assert "已就绪" in process.stdout.readline()
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(by)
    assert process.wait(PATIENCE_SECS) != 0
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECS)
    assert alive == []
    assert left_over(scratch) == []

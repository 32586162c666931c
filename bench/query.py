"""How fast are C-FIND and QIDO-RS at 100,000 studies? `python -m bench.query [STUDIES]`, from question to last answer.

The services are asked without a network: what is measured is reading what is asked, the search and writing the answers.
QIDO-RS looks at the studies of every facility, 25 of a page, and has each that it tells in the audit before it does.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
from pydicom.dataset import Dataset
from rich.console import Console
from rich.table import Table

from engine.cli.assembly import prepare
from engine.config import Role
from engine.pinyin import spoken
from engine.store import imaging
from engine.store.database import connect_pool
from engine.store.embedded import EmbeddedPostgres
from engine.store.imaging import Instance
from pacs_gateway.dicomweb.routes import DicomWeb
from pacs_gateway.location import Objects
from pacs_gateway.query.archive import Archive
from pacs_gateway.query.identifier import encoded
from pacs_gateway.query.models import STUDY_ROOT
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.find import Find
from pacs_gateway.scp.service import Line, OutgoingDataSet, Request
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from pacs_gateway.upper_layer.commands import CommandField, CommandSet

STUDIES = 100_000
ROUNDS = 200
FACILITIES = ("baishi", "qingxi", "county", "liushu")
BATCH = 500
ANALYZED = 10_000
FIRST_ON = date(2022, 1, 1)
DAYS = 1500
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
GIVEN = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉玲红建华国志海春梅晓东云飞龙婷雪琳宇浩欣怡梓涵一诺"
STORED_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Patient:
    number: int
    name: str
    latin: str


@dataclass(frozen=True, slots=True)
class Searcher:
    """Who asks over HTTP."""

    name: str
    facility: str = FACILITIES[0]
    roles: tuple[Role, ...] = (Role.READER,)


class Counting:
    """The way back to a peer that reads everything at once."""

    def __init__(self) -> None:
        self.pending = 0
        self.cancelled = False

    async def send(self, response: CommandSet, data_set: bytes = b"") -> None:
        self.pending += bool(data_set)

    def line(self) -> Line:
        raise AssertionError("nothing is told later")

    def takes(self, sop_class: str, transfer_syntax: str) -> bool:
        return False

    async def store(self, command: CommandSet, transfer_syntax: str, data_set: OutgoingDataSet) -> int:
        raise AssertionError("nothing is sent here")


def main() -> None:
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as url:
        folder = Path(name)
        folder.chmod(0o755)
        asyncio.run(_measure(url, folder, studies))


async def _measure(url: str, folder: Path, studies: int) -> None:
    await prepare(url, folder)
    pool = await connect_pool(url, max_size=4)
    console = Console()
    loaded = await _load(pool, studies)
    find = Find("imaging", "HUTONG", Archive(pool, Objects(folder / "objects")))
    table = Table(
        title=f"C-FIND at {studies} studies, the caller's facility has a quarter of them, {ROUNDS} queries each"
    )
    for column in ("keys", "answers", "p50 ms", "p95 ms", "max ms"):
        table.add_column(column, justify="left" if column == "keys" else "right")
    for what in _KEYS:
        table.add_row(what, *await _times(find, what))
    console.print(table)
    console.print(await _qido(pool, folder, studies))
    console.print(f"loading wrote {studies / loaded:.0f} studies (of 2 instances) a second")
    await pool.close()


async def _load(pool: asyncpg.Pool, studies: int) -> float:
    """Writes the studies as the gateway does; how long it took."""
    chosen = random.Random(0)
    began = time.monotonic()
    for at in range(0, studies, BATCH):
        batch = [one for number in range(at, min(at + BATCH, studies)) for one in _study(number, chosen)]
        async with pool.acquire() as connection, connection.transaction():
            await imaging.record(connection, "imaging", batch)
        if at % ANALYZED == 0:
            await pool.execute("analyze")  # as autovacuum does, which does not keep up with this
    took = time.monotonic() - began
    await pool.execute("analyze")
    return took


def _study(number: int, chosen: random.Random) -> Iterator[Instance]:
    patient = _patient(number // 3)
    uid = f"1.2.826.0.1.3680043.10.1.{number}"
    modality = chosen.choice(("DX", "DX", "CT", "CT", "US", "MR", "ECG"))
    tags = {
        "patient_name": f"{patient.latin}={patient.name}" if number % 2 else patient.name,
        "patient_id": f"P{patient.number:07d}",
        "accession": f"A{number:08d}",
        "birth_date": "19700101",
        "sex": "F",
        "study_date": (FIRST_ON + timedelta(days=chosen.randrange(DAYS))).strftime("%Y%m%d"),
        "study_time": f"{chosen.randrange(24):02d}{chosen.randrange(60):02d}00",
        "description": "胸部正位",
        "modality": modality,
        "series_number": "1",
    }
    for place in (1, 2):
        yield Instance(
            sop_uid=f"{uid}.1.{place}",
            facility=FACILITIES[number % len(FACILITIES)],
            sha256=sha256(f"{uid}.{place}".encode()).digest(),
            study_uid=uid,
            series_uid=f"{uid}.1",
            sop_class="1.2.840.10008.5.1.4.1.1.2",
            transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN,
            modality=modality,
            number=place,
            bytes=500_000,
            location=f"x/{uid}/{place}.dcm",
            tags=json.dumps(tags, ensure_ascii=False),
            charset="{}",
            peer="CT@10.0.0.1:1",
            stored_at=STORED_AT,
        )


def _patient(number: int) -> Patient:
    chosen = random.Random(number)
    surname, given = chosen.choice(SURNAMES), "".join(chosen.choices(GIVEN, k=chosen.choice((1, 2, 2))))
    return Patient(number, surname + given, f"{spoken(surname)}^{spoken(given)}".title())


def _day(chosen: random.Random) -> date:
    return FIRST_ON + timedelta(days=chosen.randrange(DAYS - 31))


_KEYS: dict[str, Any] = {
    "patient id": lambda chosen, p: {"PatientID": f"P{p.number:07d}"},
    "patient id, beginning": lambda chosen, p: {"PatientID": f"P{p.number:07d}"[:-1] + "*"},
    "accession number": lambda chosen, p: {"AccessionNumber": f"A{p.number * 3:08d}"},
    "name in Chinese": lambda chosen, p: {"PatientName": p.name},
    "name in Chinese, beginning": lambda chosen, p: {"PatientName": p.name[:2] + "*"},
    "name in pinyin": lambda chosen, p: {"PatientName": p.latin},
    "name in pinyin, beginning": lambda chosen, p: {"PatientName": p.latin[:-1] + "*"},
    "part of a name in pinyin": lambda chosen, p: {"PatientName": f"*{p.latin.replace('^', '')[2:]}*"},
    "initials": lambda chosen, p: {"PatientName": "".join(spoken(one)[0] for one in p.name)},
    "a day": lambda chosen, p: {"StudyDate": _day(chosen).strftime("%Y%m%d")},
    "a week of CT": lambda chosen, p: {"StudyDate": _span(_day(chosen), 7), "ModalitiesInStudy": "CT"},
    "a month and a surname": lambda chosen, p: {
        "StudyDate": _span(_day(chosen), 30),
        "PatientName": p.latin.split("^")[0] + "*",
    },
    "20 study UIDs": lambda chosen, p: {
        "StudyInstanceUID": [f"1.2.826.0.1.3680043.10.1.{4 * chosen.randrange(5_000)}" for _ in range(20)]
    },
}


def _span(first: date, days: int) -> str:
    return f"{first:%Y%m%d}-{first + timedelta(days=days - 1):%Y%m%d}"


async def _times(find: Find, what: str) -> tuple[str, ...]:
    chosen = random.Random(what)
    times, answers = [], 0
    for _ in range(ROUNDS):
        asked = Dataset()
        asked.QueryRetrieveLevel = "STUDY"
        asked.SpecificCharacterSet = "ISO_IR 192"
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber",
                        "ModalitiesInStudy", "StudyDescription", "NumberOfStudyRelatedInstances"):  # fmt: skip
            setattr(asked, keyword, None)
        for keyword, value in _KEYS[what](chosen, _patient(4 * chosen.randrange(8_000))).items():
            setattr(asked, keyword, value)
        began = time.perf_counter()
        answers += await _ask(find, encoded(asked, EXPLICIT_VR_LITTLE_ENDIAN))
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    return (
        f"{answers / ROUNDS:.1f}",
        f"{times[ROUNDS // 2]:.1f}",
        f"{times[ROUNDS * 95 // 100]:.1f}",
        f"{times[-1]:.1f}",
    )


async def _qido(pool: asyncpg.Pool, folder: Path, studies: int) -> Table:
    web = DicomWeb(pool, folder / "objects")
    table = Table(title=f"QIDO-RS at {studies} studies, 25 of a page, {ROUNDS} searches each")
    for column in ("keys", "p50 ms", "p95 ms", "max ms"):
        table.add_column(column, justify="left" if column == "keys" else "right")
    for what, keys in _KEYS.items():
        if what == "20 study UIDs":
            continue
        chosen, times = random.Random(what), []
        for number in range(ROUNDS):
            asked = keys(chosen, _patient(4 * chosen.randrange(8_000)))
            began = time.perf_counter()
            await _search(web, {**asked, "limit": "25"}, Searcher(f"reader{number % 8}"))
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
        quantiles = (times[ROUNDS // 2], times[ROUNDS * 95 // 100], times[-1])
        table.add_row(what, *(f"{milliseconds:.1f}" for milliseconds in quantiles))
    return table


async def _search(web: DicomWeb, parameters: dict[str, str], caller: Searcher) -> None:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/dicomweb/studies",
        "query_string": urlencode(parameters).encode(),
        "headers": [(b"host", b"hub")],
        "caller": caller,
    }

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("a search has no body")

    async def send(message: MutableMapping[str, Any]) -> None:
        if message.get("status", 200) not in (200, 204):
            raise RuntimeError(f"a search was answered {message['status']}")

    await web(scope, receive, send)


async def _ask(find: Find, identifier: bytes) -> int:
    command = CommandSet.of(CommandField.C_FIND_RQ, has_data_set=True)
    caller = Caller("BENCH", FACILITIES[0], "BENCH")
    operation = find.begin(Request(command, STUDY_ROOT.find, EXPLICIT_VR_LITTLE_ENDIAN, caller, "HUTONG", "BENCH@-"))
    operation.write([memoryview(identifier)])
    answers = Counting()
    await operation.answer(answers)
    return answers.pending


if __name__ == "__main__":
    main()

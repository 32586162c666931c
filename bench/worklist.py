"""How fast is the modality worklist at 10,000 scheduled steps? `python -m bench.worklist [STEPS]`.

The service is asked without a network: what is measured is reading the identifier, the search and writing the answers.
The processor's time is that of the gateway's process, without the database's.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import asyncpg
from pydicom.dataset import Dataset
from rich.console import Console
from rich.table import Table

from bench.query import FACILITIES, Counting
from engine.cli.assembly import prepare
from engine.clock import CHINA
from engine.store import imaging, worklist
from engine.store.database import connect_pool
from engine.store.embedded import EmbeddedPostgres
from engine.store.imaging import StepQuery
from engine.store.worklist import Step
from pacs_gateway.query.identifier import encoded
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.service import Request
from pacs_gateway.scp.worklist import MODALITY_WORKLIST_FIND, WorklistFind
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from pacs_gateway.upper_layer.commands import CommandField, CommandSet

STEPS = 10_000
ROUNDS = 200
DAYS = 60
FIRST_AT = datetime(2026, 3, 1, tzinfo=UTC)
MODALITIES = ("DX", "CT", "US", "ECG", "MR")
_BATCH = 500


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as name, EmbeddedPostgres(Path(name) / "pg") as url:
        folder = Path(name)
        folder.chmod(0o755)
        asyncio.run(_measure(url, folder, steps))


async def _measure(url: str, folder: Path, steps: int) -> None:
    await prepare(url, folder)
    pool = await connect_pool(url, max_size=2)
    await _load(pool, steps)
    service = WorklistFind("imaging", partial(_scheduled, pool))
    table = Table(
        title=f"modality worklist at {steps} steps, the caller's facility has a quarter of them, {ROUNDS} queries each"
    )
    for column in ("keys", "answers", "p50 ms", "p95 ms", "max ms", "ms of processor"):
        table.add_column(column, justify="left" if column == "keys" else "right")
    for what, keys in _KEYS.items():
        table.add_row(what, *await _times(service, keys, steps))
    Console().print(table)
    await pool.close()


async def _scheduled(pool: asyncpg.Pool, facility: str, calling_ae: str, query: StepQuery, limit: int) -> list[Step]:
    async with pool.acquire() as connection:
        return await imaging.scheduled_steps(connection, facility, calling_ae, query, limit)


async def _load(pool: asyncpg.Pool, steps: int) -> None:
    """Spread over two months, four facilities and five modalities."""
    async with pool.acquire() as connection:
        for low in range(0, steps, _BATCH):
            async with connection.transaction():
                await worklist.put(connection, [_step(number) for number in range(low, min(low + _BATCH, steps))])
        await connection.execute("analyze worklist")


def _step(number: int) -> Step:
    at = FIRST_AT + timedelta(days=number // 4 % DAYS, minutes=number % 1440)
    return Step(
        service_request=f"bench-{number}",
        facility=FACILITIES[number % len(FACILITIES)],
        accession=_accession(number),
        study_uid=f"1.2.826.0.1.3680043.10.4.{number}",
        patient_id=f"P{number:07d}",
        issuer="",
        patient_name=f"张{number % 977}",
        patient_name_latin=f"Zhang {number % 977}",
        birth_on=None,
        sex="M",
        modality=MODALITIES[number // 4 // DAYS % len(MODALITIES)],
        station_ae="",
        procedure_code="XR-CHEST",
        procedure_text="胸部正位",
        body_part="CHEST",
        requested_by="何医生",
        placer=f"PL{number}",
        scheduled_at=at,
        state="scheduled",
    )


def _accession(number: int) -> str:
    return f"26{number:09d}"


def _day(chosen: random.Random) -> str:
    return (FIRST_AT + timedelta(days=chosen.randrange(DAYS))).astimezone(CHINA).strftime("%Y%m%d")


def _of_a_day(modality: str, asked: Dataset, chosen: random.Random, steps: int) -> None:
    asked.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate = _day(chosen)
    asked.ScheduledProcedureStepSequence[0].Modality = modality


def _of_an_accession(asked: Dataset, chosen: random.Random, steps: int) -> None:
    asked.AccessionNumber = _accession(4 * chosen.randrange(steps // 4))


def _of_a_patient(asked: Dataset, chosen: random.Random, steps: int) -> None:
    asked.PatientID = f"P{4 * chosen.randrange(steps // 4):07d}"


def _of_a_name(asked: Dataset, chosen: random.Random, steps: int) -> None:
    asked.PatientName = f"Zhang {chosen.randrange(977)}*"


_KEYS: dict[str, Callable[[Dataset, random.Random, int], None]] = {
    "a day and a modality": partial(_of_a_day, "DX"),
    "a day": partial(_of_a_day, ""),
    "accession number": _of_an_accession,
    "patient number": _of_a_patient,
    "name": _of_a_name,
}


async def _times(service: WorklistFind, keys: Callable[[Dataset, random.Random, int], None], steps: int) -> list[str]:
    chosen, times, answers, worked = random.Random(5), [], 0, 0.0
    for _ in range(ROUNDS):
        identifier = _identifier()
        keys(identifier, chosen, steps)
        content = encoded(identifier, EXPLICIT_VR_LITTLE_ENDIAN)
        began, busy = time.perf_counter(), time.process_time()
        answers += await _ask(service, content)
        times.append((time.perf_counter() - began) * 1000)
        worked += (time.process_time() - busy) * 1000
    times.sort()
    quantiles = (times[ROUNDS // 2], times[ROUNDS * 95 // 100], times[-1])
    return [f"{answers / ROUNDS:.1f}", *(f"{milliseconds:.1f}" for milliseconds in (*quantiles, worked / ROUNDS))]


def _identifier() -> Dataset:
    """Everything that a station shows, asked for."""
    asked, step = Dataset(), Dataset()
    asked.SpecificCharacterSet = "ISO_IR 192"
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber",
                    "StudyInstanceUID", "RequestedProcedureDescription", "RequestedProcedureID"):  # fmt: skip
        setattr(asked, keyword, None)
    for keyword in ("Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate",
                    "ScheduledProcedureStepStartTime", "ScheduledProcedureStepDescription",
                    "ScheduledProcedureStepID"):  # fmt: skip
        setattr(step, keyword, None)
    asked.ScheduledProcedureStepSequence = [step]
    return asked


async def _ask(service: WorklistFind, identifier: bytes) -> int:
    command = CommandSet.of(CommandField.C_FIND_RQ, has_data_set=True)
    caller = Caller("BENCH", FACILITIES[0], "BENCH")
    request = Request(command, MODALITY_WORKLIST_FIND, EXPLICIT_VR_LITTLE_ENDIAN, caller, "HUTONG", "BENCH@-")
    operation = service.begin(request)
    operation.write([memoryview(identifier)])
    answers = Counting()
    await operation.answer(answers)
    return answers.pending


if __name__ == "__main__":
    main()

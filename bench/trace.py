"""How long does a search take in a large journal? `python -m bench.trace [ENVELOPES]`, a million unless one says.

Rows are made in the database, in the proportions that a county's messages leave: six months in parts, a resource or two
to a message, a third of them with a finding or a delivery, and one patient whose number everybody gives to whom they do
not know. Each search is one question to the API, answered as the console gets it, its audit rows committed.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import asyncpg
import httpx
import psutil
import uvloop
from rich.console import Console
from rich.table import Table

from bench import community as bench_community
from engine.api.app import create_app
from engine.api.services import Services
from engine.cli.assembly import prepare
from engine.cli.cycles import collect_seldom
from engine.clock import now
from engine.store import access, partitions
from engine.store.database import connect, connect_pool
from engine.store.embedded import EmbeddedPostgres
from engine.store.partitions import PARTED, Month

ENVELOPES = 1_000_000
MONTHS = 6
WARM, COLD = 60, 12
"""Searches of each kind."""
LOADERS = 2
STEP = 50_000
TUNING = {"maintenance_work_mem": "1GB", "max_wal_size": "8GB"}
"""Only for loading: what answers searches is as a hub has it."""
LATE_INDEXES = ("resource_tokens", "resource_recent", "resource_envelope", "finding_tokens")
"""Built after the rows are there."""

_FUNCTIONS = """
create function bench_at(n bigint) returns timestamptz immutable language sql as
$$ select $first$::timestamptz + make_interval(secs => n * $step$) $$;
create function bench_id(n bigint, kind int) returns uuid immutable language sql as
$$ select (lpad(to_hex((extract(epoch from bench_at(n)) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
           || '8' || lpad(to_hex(n), 15, '0'))::uuid $$;
create function bench_patient(n bigint) returns text immutable language sql as
$$ select case when n % 200 = 7 then '0' else 'P' || lpad((n * 7919 % $patients$)::text, 8, '0') end $$;
create function bench_ref(kind text, n text) returns text immutable language sql as
$$ select md5(kind || n)::uuid::text $$;
"""

_LOAD = {
    "journal": """
        insert into journal
        select id, 'hl7v2', 'bench', 'bench', '10.0.0.9:4711', at, type, control_id, sha256(payload), payload, reply
        from (
            select bench_id(n, 1) as id, bench_at(n) as at,
                   (array['ADT^A04','ORM^O01','ORU^R01','ORU^R01'])[n % 4 + 1] as type,
                   case when n % 50 = 3 then 'MSG00001' else 'C' || n end as control_id,
                   convert_to('MSH|^~\\&|LIS|BENCH|H|H|20260501080000||ORU^R01|C' || n || '|P|2.5.1||||||UNICODE UTF-8'
                              || E'\\r' || 'PID|1||' || bench_patient(n) || '^^^BENCH||张^三||19700101|M' || E'\\r'
                              || 'OBX|1|NM|GLU^葡萄糖^L||5.10|mmol/L|3.9-6.1|N|||F', 'UTF8') as payload,
                   convert_to('MSH|^~\\&|HUTONG|H|LIS|BENCH|20260501||ACK|A1|P|2.5.1' || E'\\r' || 'MSA|AA|C' || n,
                              'UTF8') as reply
            from generate_series($1::bigint, $2::bigint) n
        ) made""",
    "outcome": """
        insert into outcome (envelope, state, finished_at, mapping, resources, unmapped)
        select bench_id(n, 1), 'processed', bench_at(n), 'ORU_R01@1+abcdef12',
               to_jsonb(array['Patient/' || bench_ref('p', bench_patient(n)) || '@3',
                              'Observation/' || bench_ref('o', n::text) || '@1']), '{OBX-14}'
        from generate_series($1::bigint, $2::bigint) n""",
    "past_lane": """
        insert into past_lane select 'bench|' || bench_patient(n), bench_id(n, 1)
        from generate_series($1::bigint, $2::bigint) n""",
    "repeat_guard": """
        insert into repeat_guard
        select decode(md5('k' || n), 'hex'), decode(md5('c' || n), 'hex'), bench_id(n, 1)
        from generate_series($1::bigint, $2::bigint) n""",
    "observation": """
        insert into resource
        select 'Observation', bench_ref('o', n::text), 1, bench_at(n),
               jsonb_build_object('resourceType', 'Observation', 'id', bench_ref('o', n::text), 'status', 'final',
                   'subject', jsonb_build_object('reference', 'Patient/' || bench_ref('p', bench_patient(n))),
                   'code', '{"coding": [{"system": "http://loinc.org", "code": "2345-7"}], "text": "葡萄糖"}'::jsonb,
                   'valueQuantity', '{"value": 5.10, "unit": "mmol/L"}'::jsonb),
               array['identifier=F' || n, 'identifier@urn:hutong:facility:bench:result|F' || n,
                     'subject=Patient/' || bench_ref('p', bench_patient(n)), 'status=Observation/final', 'code=2345-7',
                     'code@http://loinc.org|2345-7', 'category=laboratory',
                     'based-on=ServiceRequest/' || bench_ref('s', (n - n % 5)::text)],
               bench_id(n, 1), null, 'ORU_R01@1+abcdef12'
        from generate_series($1::bigint, $2::bigint) n where n % 4 >= 2""",
    "order": """
        insert into resource
        select 'ServiceRequest', bench_ref('s', n::text), 1, bench_at(n),
               jsonb_build_object('resourceType', 'ServiceRequest', 'id', bench_ref('s', n::text), 'status', 'active',
                   'subject', jsonb_build_object('reference', 'Patient/' || bench_ref('p', bench_patient(n)))),
               array['identifier=PL' || n, 'identifier@urn:hutong:facility:bench:order|PL' || n,
                     'identifier=BE' || n, 'identifier@urn:hutong:facility:bench:accession|BE' || n,
                     'subject=Patient/' || bench_ref('p', bench_patient(n)), 'status=ServiceRequest/active'],
               bench_id(n, 1), null, 'ORM_O01@1+abcdef12'
        from generate_series($1::bigint, $2::bigint) n where n % 5 = 0""",
    "study": """
        insert into resource
        select 'ImagingStudy', bench_ref('i', n::text), 1, bench_at(n),
               jsonb_build_object('resourceType', 'ImagingStudy', 'id', bench_ref('i', n::text), 'status', 'available',
                   'subject', jsonb_build_object('reference', 'Patient/' || bench_ref('p', bench_patient(n)))),
               array['identifier=1.2.156.9.' || n, 'identifier=urn:oid:1.2.156.9.' || n,
                     'subject=Patient/' || bench_ref('p', bench_patient(n)), 'status=ImagingStudy/available',
                     'based-on=ServiceRequest/' || bench_ref('s', n::text)],
               bench_id(n, 1), null, 'study'
        from generate_series($1::bigint, $2::bigint) n where n % 50 = 0""",
    "worklist": """
        insert into worklist
        select bench_ref('s', n::text), 'bench', 'BE' || n, '1.2.156.9.' || n, bench_patient(n), '', '张三',
               'Zhang San', null, 'M', 'DX', '', 'XR-CHEST', '胸部正位', 'CHEST', '', 'PL' || n, bench_at(n),
               'performed'
        from generate_series($1::bigint, $2::bigint) n where n % 50 = 0""",
    "history": """
        insert into resource_history
        select 'Patient', bench_ref('p', bench_patient(n)), n::int, bench_at(n),
               jsonb_build_object('resourceType', 'Patient', 'id', bench_ref('p', bench_patient(n))),
               bench_id(n, 1), null, 'ADT@1'
        from generate_series($1::bigint, $2::bigint) n where n % 3 = 0""",
    "finding": """
        insert into finding (id, code, severity, location, text, channel, envelope, found_at, settled_at)
        select gen_random_uuid(), code, severity, location, text, 'bench', bench_id(n, 1), bench_at(n),
               case when n % 7 = 0 then null else bench_at(n) end
        from (
            select n, (array['control-id-reused','charset-doubtful','id-card-check-digit'])[k] as code,
                   (array['information','warning','warning'])[k] as severity,
                   (array['MSH-10','MSH-18','PID-3[2].1'])[k] as location,
                   (array['The control id came before with other content; this message is processed as a new one.',
                          'The text is not in the character set it claims; it was read as gb18030.',
                          'The check digit of the identity card is wrong; delivery ' || n || ' tells more.'])[k] as text
            from (select n, case when n % 10 < 6 then 1 when n % 10 < 9 then 2 else 3 end as k
                  from generate_series($1::bigint, $2::bigint) n where n % 3 = 1) kinds
        ) found""",
    "delivery": """
        insert into delivery (id, endpoint, control_id, payload, state, attempts, next_attempt_at, created_at, envelope,
                              route, receipt, delivered_at)
        select bench_id(n, 2), 'e' || n % 10, 'D' || n, convert_to('MSH|^~\\&|HUTONG|' || n, 'UTF8'), 'delivered', 1,
               bench_at(n), bench_at(n), bench_id(n, 1), 'results',
               convert_to('MSH|' || E'\\r' || 'MSA|AA|D' || n, 'UTF8'), bench_at(n)
        from generate_series($1::bigint, $2::bigint) n where n % 3 = 0""",
    "delivery_attempt": """
        insert into delivery_attempt select bench_id(n, 2), bench_at(n), 'delivered', ''
        from generate_series($1::bigint, $2::bigint) n where n % 3 = 0""",
    "audit": """
        insert into audit (at, actor, action, subject, detail)
        select bench_at(n), 'system', 'record', 'Envelope/' || bench_id(n, 1), '{"resources": 2}'
        from generate_series($1::bigint, $2::bigint) n""",
}

_PATIENTS = """
insert into resource
select 'Patient', bench_ref('p', number), 1000000000, now(),
       jsonb_build_object('resourceType', 'Patient', 'id', bench_ref('p', number)),
       array['identifier=' || number, 'identifier@urn:hutong:facility:bench:patient|' || number,
             'identifier=' || card, 'identifier@urn:oid:2.16.156.10011.1.3|' || card, 'name=zhangsan',
             'birthdate=1970'],
       null, 'system', null
from (select '0' as number, '0' as card union all
      select 'P' || lpad(k::text, 8, '0'), '3304' || lpad(k::text, 14, '0')
      from generate_series(0, $1::bigint - 1) k) p;
"""
_LINKS = """
insert into patient_link (source, golden, home, reasons, linked_at)
select bench_ref('p', 'P' || lpad(k::text, 8, '0')), bench_ref('g', k::text), bench_ref('g', k::text), '[]', now()
from generate_series(0, $1::bigint - 1) k
"""


@dataclass(frozen=True)
class Search:
    """A kind of search, and the word that leads to envelope `n`."""

    name: str
    word: Callable[[int], str]


@dataclass(frozen=True)
class Measured:
    """Milliseconds of each search in order, processor time of one (of API and database, also on a busy machine), and
    what the last one found."""

    taken: list[float]
    processor: float
    found: str


def searches(patients: int, ids: Callable[[int], str]) -> list[Search]:
    def patient(n: int) -> int:
        return n * 7919 % patients

    return [
        Search("envelope id", ids),
        Search("beginning of an envelope id", lambda n: f"select left(bench_id({n}, 1)::text, 18)"),
        Search("old version", lambda n: _version(n - n % 3)),
        Search("control id", lambda n: f"C{n}"),
        Search("control id of 2 %", lambda _: "MSG00001"),
        Search("patient number", lambda n: f"P{patient(n):08d}"),
        Search("identity card", lambda n: f"3304{patient(n):014d}"),
        Search("patient of everybody", lambda _: "0"),
        Search("accession number", lambda n: f"BE{n - n % 50}"),
        Search("order number", lambda n: f"PL{n - n % 5}"),
        Search("study UID", lambda n: f"1.2.156.9.{n - n % 50}"),
        Search("delivery's control id", lambda n: f"D{n - n % 3}"),
        Search("finding, rare words", lambda n: f"check digit delivery {n - n % 30 + 19}"),
        Search("finding, words of many", lambda _: "control id came before"),
        Search("nothing", lambda n: f"nobody{n}"),
    ]


def main() -> None:
    total = int(sys.argv[1]) if len(sys.argv) > 1 else ENVELOPES
    console = Console()
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        bench_community.write(folder)
        with EmbeddedPostgres(folder / "pg", tuning=TUNING) as url:
            begun = time.perf_counter()
            uvloop.run(_load(url, folder, total))
            size = sum(path.stat().st_size for path in (folder / "pg").rglob("*") if path.is_file())
            console.print(f"{total:,} envelopes in {time.perf_counter() - begun:.0f} s; {size / 1e9:.1f} GB on disk")
        table = Table("search", "warm p50", "warm p95", "processor", "cold p50", "cold worst", "found")
        for search in searches(_patients(total), _ids(total)):
            with EmbeddedPostgres(folder / "pg") as url:  # a server that has just started has read nothing yet
                dropped = _drop_caches()
                cold = uvloop.run(_measure(url, search, COLD, total, seed=1))
                warm = uvloop.run(_measure(url, search, WARM, total, seed=2))
            first = (_of(cold.taken, 0.5), _of(cold.taken, 1)) if dropped else ("–", "–")
            worked = f"{warm.processor:.0f} ms"
            table.add_row(search.name, _of(warm.taken, 0.5), _of(warm.taken, 0.95), worked, *first, warm.found)
        console.print(table)


def _patients(total: int) -> int:
    return max(1, total // 8)


def _first(total: int) -> datetime:
    month = Month.of(now()).plus(-MONTHS + 1)
    return datetime(month.year, month.number, 1, tzinfo=UTC)


def _step(total: int) -> float:
    """Seconds between two envelopes."""
    return (now() - _first(total)).total_seconds() / total


def _ids(total: int) -> Callable[[int], str]:
    """Ids are asked of the database: a float of another language may round otherwise."""
    return lambda n: f"select bench_id({n}, 1)::text"


def _version(n: int) -> str:
    """A superseded version of a patient, one of those that envelope `n` wrote."""
    return f"select 'Patient/' || bench_ref('p', bench_patient({n})) || '@' || {n}"


async def _load(url: str, folder: Path, total: int) -> None:
    await prepare(url, folder)
    connection = await connect(url)
    first = Month.of(_first(total))
    there = await partitions.parts(connection)
    for parted in PARTED:
        for month in map(first.plus, range(MONTHS)):
            if month.part(parted.table) not in there:
                await partitions.make_part(connection, parted, month)
    functions = _FUNCTIONS.replace("$first$", f"'{_first(total).isoformat()}'").replace("$step$", repr(_step(total)))
    await connection.execute(functions.replace("$patients$", str(_patients(total))))
    late = [await connection.fetchval("select pg_get_indexdef($1::regclass)", index) for index in LATE_INDEXES]
    for index in LATE_INDEXES:
        await connection.execute(f"drop index {index}")
    steps = [(low, min(low + STEP, total) - 1) for low in range(0, total, STEP)]
    await asyncio.gather(*(_fill(url, steps[worker::LOADERS]) for worker in range(LOADERS)))
    for statement in (_PATIENTS, _LINKS):
        await connection.execute(statement.replace("$1::bigint", str(_patients(total))))
    await asyncio.gather(*(_run(url, definition) for definition in late))
    await connection.execute("vacuum analyze")
    await connection.close()


async def _fill(url: str, steps: Sequence[tuple[int, int]]) -> None:
    connection = await connect(url)
    await connection.execute("set synchronous_commit = off")
    for low, high in steps:
        for statement in _LOAD.values():
            await connection.execute(statement, low, high)
    await connection.close()


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def _measure(url: str, search: Search, times: int, total: int, *, seed: int) -> Measured:
    pool = await connect_pool(url, max_size=1)
    backend = psutil.Process(await pool.fetchval("select pg_backend_pid()"))
    services = Services(pool=pool, config=bench_community.community(), clock=now, mapping_set=cast(Any, None))
    async with pool.acquire() as connection:
        token = await access.issue(connection, access.ADMINISTRATOR, now())
    transport = httpx.ASGITransport(app=create_app(services))
    chosen = random.Random(seed)
    taken: list[float] = []
    answer: dict[str, Any] = {}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://hub", headers={"Authorization": f"Bearer {token}"}
    ) as client:
        await client.get("/api/me")
        collect_seldom()  # as the hub's own process does before it says that it is ready
        worked = _processor(backend)
        for _ in range(times):
            word = search.word(chosen.randrange(100, total))
            if word.startswith("select "):
                word = str(await pool.fetchval(word))
            begun = time.perf_counter()
            got = await client.get("/api/trace", params={"word": word})
            taken.append((time.perf_counter() - begun) * 1000)
            assert got.status_code == 200, got.text
            answer = got.json()
        worked = _processor(backend) - worked
    await pool.close()
    found = ", ".join(f"{len(answer[key])} {key}" for key in ("envelopes", "resources", "findings") if answer[key])
    return Measured(sorted(taken), worked / times, found or "nothing")


def _processor(backend: psutil.Process) -> float:
    """Milliseconds that this process and a backend of the database have worked."""
    times = backend.cpu_times()
    return (time.process_time() + float(times.user) + float(times.system)) * 1000


def _of(taken: Sequence[float], share: float) -> str:
    return f"{taken[min(len(taken) - 1, int(share * len(taken)))]:.0f} ms"


def _drop_caches() -> bool:
    """Makes the kernel forget what it read of the disk; False where we may not."""
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()

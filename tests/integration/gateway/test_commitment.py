"""What is asked to be kept for good is looked for, read and hashed; the result reaches whoever asked, whatever dies."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pynetdicom import AE, evt
from pynetdicom.association import Association

from engine import clock
from engine.config import AeEntry
from engine.identifiers import ae_destination
from engine.store import commitments, imaging
from engine.store.commitments import Named
from pacs_gateway import background, committing, indexing, notifying
from pacs_gateway.gateway import Gateway
from tests.integration.gateway import gateway_process
from tests.integration.gateway.conftest import Start, Write
from tests.integration.gateway.performing import named
from tests.integration.gateway.sending import PATIENCE_SECS, send_raw, settled, until
from tests.ports import free_port

COMMITMENT = "1.2.840.10008.1.20.1"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"
CR = "1.2.840.10008.5.1.4.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
TRANSACTION = "1.2.3.77"
MISSING, CONFLICT, FAILURE, DUPLICATE = 0x0112, 0x0119, 0x0110, 0x0131


class Modality:
    """Asks, and hears results, over the association on which it asked and where it listens."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, Dataset]] = []
        self.on_own: list[tuple[int, Dataset]] = []
        self.answers = 0x0000
        self.port = free_port()
        self._server: Any = None

    def listen(self) -> None:
        entity = AE("DR_BAISHI")
        entity.add_supported_context(COMMITMENT, scu_role=False, scp_role=True)
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._take(self.heard))]
        )

    def entry(self) -> AeEntry:
        """Of a channel that knows where it listens."""
        return AeEntry(ae_title="DR_BAISHI", facility="baishi", address="127.0.0.1", port=self.port)

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def associate(self, port: int, calling: str = "DR_BAISHI", *others: str) -> Association:
        entity = AE(calling)
        for sop_class in (COMMITMENT, *others):
            entity.add_requested_context(sop_class)
        association = entity.associate(
            "127.0.0.1", port, ae_title="HUTONG", evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._take(self.on_own))]
        )
        assert association.is_established
        return association

    def _take(self, into: list[tuple[int, Dataset]]) -> Callable[[Any], tuple[int, None]]:
        def take(event: Any) -> tuple[int, None]:
            into.append((event.event_type, event.event_information))
            return self.answers, None

        return take


@pytest.fixture
def modality() -> Any:
    one = Modality()
    yield one
    one.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process owes, and what failed, is looked at without waiting for a quiet moment."""
    monkeypatch.setattr(notifying, "IDLE_SECS", 0.05)
    monkeypatch.setattr(committing, "RETRY_SECS", 0.05)


def asked(instances: Sequence[tuple[str, str]], transaction: str = TRANSACTION) -> Dataset:
    information = Dataset()
    information.TransactionUID = transaction
    information.ReferencedSOPSequence = Items(named(uid, sop_class) for uid, sop_class in instances)
    return information


def ask(association: Association, information: Dataset, action: int = 1, instance: str = WELL_KNOWN) -> int:
    answer, _ = association.send_n_action(information, action, COMMITMENT, instance)
    return int(answer.Status)


async def stored(gateway: Gateway, radiograph: Write, count: int = 1) -> list[str]:
    """SOP Instance UIDs of radiographs that were sent and answered 0000."""
    files = [radiograph(StudyInstanceUID="1.2.3.1", SeriesInstanceUID="1.2.3.1.1") for _ in range(count)]
    assert await asyncio.to_thread(send_raw, gateway.port, files) == [0] * count
    return [str(pydicom.dcmread(file).SOPInstanceUID) for file in files]


def kept(report: Dataset) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in report.get("ReferencedSOPSequence", ())]


def failed(report: Dataset) -> dict[str, int]:
    return {str(item.ReferencedSOPInstanceUID): item.FailureReason for item in report.get("FailedSOPSequence", ())}


async def has_come(heard: Sequence[object], count: int = 1) -> None:
    async def come() -> bool:
        return len(heard) >= count

    await until(come)


@asynccontextmanager
async def over(modality: Modality, port: int, *others: str) -> AsyncIterator[Association]:
    association = await asyncio.to_thread(modality.associate, port, "DR_BAISHI", *others)
    try:
        yield association
    finally:
        await asyncio.to_thread(association.release)


async def owed(pool: asyncpg.Pool) -> list[str]:
    return [row["state"] for row in await pool.fetch("select state from delivery order by id")]


async def test_what_is_here_is_committed_over_the_association_on_which_it_was_asked(
    gateway: Gateway, pool: asyncpg.Pool, modality: Modality, radiograph: Write
) -> None:
    uids = await stored(gateway, radiograph, 3)
    async with over(modality, gateway.port) as association:
        assert await asyncio.to_thread(ask, association, asked([(uid, CR) for uid in uids])) == 0
        await has_come(modality.on_own)
    ((kind, report),) = modality.on_own
    assert (kind, report.TransactionUID) == (1, TRANSACTION)
    assert kept(report) == uids
    assert failed(report) == {}

    async def closed() -> bool:
        return await owed(pool) == ["delivered"]

    await until(closed)


async def test_what_is_asked_right_after_it_was_sent_on_the_same_association_is_committed(
    gateway: Gateway, modality: Modality, radiograph: Write
) -> None:
    made = [pydicom.dcmread(radiograph()) for _ in range(3)]

    def send_and_ask(association: Association) -> list[int]:
        answers = [int(association.send_c_store(one).Status) for one in made]
        return [*answers, ask(association, asked([(one.SOPInstanceUID, CR) for one in made]))]

    async with over(modality, gateway.port, CR) as association:
        assert await asyncio.to_thread(send_and_ask, association) == [0, 0, 0, 0]
        await has_come(modality.on_own)
        assert (await asyncio.to_thread(association.send_c_store, made[0])).Status == 0
    assert modality.on_own[0][0] == 1


async def test_what_a_deadlock_kept_out_of_the_index_for_a_moment_is_committed_all_the_same(
    gateway: Gateway, modality: Modality, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, tries = imaging.record, 0

    async def deadlocked_once(connection: asyncpg.Connection, channel: str, batch: list[imaging.Instance]) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise asyncpg.DeadlockDetectedError
        await record(connection, channel, batch)

    monkeypatch.setattr(imaging, "record", deadlocked_once)
    monkeypatch.setattr(indexing, "LULL_SECS", 3600)  # rows are written when somebody asks for them
    monkeypatch.setattr(indexing, "SENDERS_FIRST_SECS", 3600)
    monkeypatch.setattr(indexing, "RETRY_SECS", 0.05)
    uids = await stored(gateway, radiograph, 2)
    async with over(modality, gateway.port) as association:
        assert await asyncio.to_thread(ask, association, asked([(uid, CR) for uid in uids])) == 0
        await has_come(modality.on_own)
    ((kind, report),) = modality.on_own
    assert (kind, kept(report), tries) == (1, uids, 2)


async def test_a_request_that_something_unforeseen_happens_to_is_settled_all_the_same(
    gateway: Gateway, modality: Modality, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes, tries = committing.Committer._outcomes, 0

    async def breaks_once(self: committing.Committer, *arguments: Any) -> list[int]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError
        return await outcomes(self, *arguments)

    monkeypatch.setattr(committing.Committer, "_outcomes", breaks_once)
    monkeypatch.setattr(background, "AGAIN_SECS", 0.0)
    uids = await stored(gateway, radiograph)
    async with over(modality, gateway.port) as association:
        assert await asyncio.to_thread(ask, association, asked([(uid, CR) for uid in uids])) == 0
        await has_come(modality.on_own)
    assert (modality.on_own[0][0], tries) == (1, 2)


async def test_each_instance_that_is_not_kept_has_its_reason(
    gateway: Gateway, modality: Modality, radiograph: Write
) -> None:
    here, of_another_class = await stored(gateway, radiograph, 2)
    named_here = [(here, CR), ("1.2.3.404", CR), (of_another_class, CT), ("1.2.3.405", "1.2.3.4.5")]
    async with over(modality, gateway.port) as association:
        assert await asyncio.to_thread(ask, association, asked(named_here)) == 0
        await has_come(modality.on_own)
    ((kind, report),) = modality.on_own
    assert kind == 2
    assert kept(report) == [here]
    assert failed(report) == {"1.2.3.404": MISSING, of_another_class: CONFLICT, "1.2.3.405": 0x0122}


async def test_objects_of_another_facility_are_not_there(
    gateway: Gateway, modality: Modality, radiograph: Write
) -> None:
    (uid,) = await stored(gateway, radiograph)
    association = await asyncio.to_thread(modality.associate, gateway.port, "DR_QINGXI")
    assert await asyncio.to_thread(ask, association, asked([(uid, CR)])) == 0
    await has_come(modality.on_own)
    await asyncio.to_thread(association.release)
    assert failed(modality.on_own[0][1]) == {uid: MISSING}


async def test_an_object_that_is_damaged_in_the_store_is_not_committed_and_told(
    gateway: Gateway, pool: asyncpg.Pool, modality: Modality, radiograph: Write, objects: Path
) -> None:
    uids = await stored(gateway, radiograph, 2)
    await settled(objects)
    location = await pool.fetchval("select location from instance where sop_uid = $1", uids[0])
    path = objects / "store" / location
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    async with over(modality, gateway.port) as association:
        await asyncio.to_thread(ask, association, asked([(uid, CR) for uid in uids]))
        await has_come(modality.on_own)
    assert failed(modality.on_own[0][1]) == {uids[0]: FAILURE}
    assert kept(modality.on_own[0][1]) == uids[1:]
    assert await pool.fetchval("select count(*) from finding where code = 'commitment-object-damaged'") == 1


async def test_the_result_follows_over_an_association_of_ours_when_the_peer_has_left(
    start: Start, pool: asyncpg.Pool, modality: Modality, radiograph: Write
) -> None:
    await asyncio.to_thread(modality.listen)
    gateway = await start(ae_entries=(modality.entry(),))
    (uid,) = await stored(gateway, radiograph)
    association = await asyncio.to_thread(modality.associate, gateway.port)
    assert await asyncio.to_thread(ask, association, asked([(uid, CR), ("1.2.3.404", CR)])) == 0
    await asyncio.to_thread(association.abort)

    async def told() -> bool:
        return bool(modality.heard or modality.on_own)

    await until(told)
    ((kind, report),) = modality.heard or modality.on_own
    assert (kind, kept(report), failed(report)) == (2, [uid], {"1.2.3.404": MISSING})


async def test_a_result_that_was_taken_before_a_kill_is_settled_and_told_after_it(
    start: Start, pool: asyncpg.Pool, modality: Modality, radiograph: Write
) -> None:
    """The request is durable, and nothing more of it was done: as after a kill between response and report."""
    gateway = await start()
    (uid,) = await stored(gateway, radiograph)
    await gateway.close()
    async with pool.acquire() as connection, connection.transaction():
        await commitments.take(
            connection,
            transaction_uid=TRANSACTION,
            channel="imaging",
            facility="baishi",
            other=ae_destination("imaging", "DR_BAISHI"),
            instances=[Named(uid, CR)],
            at=clock.now(),
        )
    await asyncio.to_thread(modality.listen)
    await start(ae_entries=(modality.entry(),))
    await has_come(modality.heard)
    assert (modality.heard[0][0], kept(modality.heard[0][1])) == (1, [uid])


async def test_a_request_that_was_answered_is_settled_after_its_gateway_was_killed(
    database_url: str, start: Start, pool: asyncpg.Pool, modality: Modality, objects: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", gateway_process.__name__, database_url, objects, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(2 * PATIENCE_SECS):
            port = int(await process.stdout.readline())
        modality.answers = 0x0110  # it does not take results where it asked
        association = await asyncio.to_thread(modality.associate, port)
        assert await asyncio.to_thread(ask, association, asked([("1.2.3.404", CR)])) == 0
    finally:
        process.kill()
        await process.wait()
    await asyncio.to_thread(association.abort)
    modality.answers = 0x0000
    await pool.execute("update delivery set next_attempt_at = now()")  # the dead process had it for half a minute
    await asyncio.to_thread(modality.listen)
    await start(ae_entries=(modality.entry(),))
    await has_come(modality.heard)
    assert failed(modality.heard[0][1]) == {"1.2.3.404": MISSING}


async def test_a_result_waits_for_a_peer_that_is_away_and_for_one_that_does_not_take_it(
    start: Start, pool: asyncpg.Pool, modality: Modality
) -> None:
    gateway = await start(ae_entries=(modality.entry(),))
    association = await asyncio.to_thread(modality.associate, gateway.port)
    modality.answers = 0x0110  # it does not take it over the association on which it asked
    assert await asyncio.to_thread(ask, association, asked([("1.2.3.404", CR)])) == 0

    async def tried() -> bool:
        row = await pool.fetchrow("select attempts, last_error from delivery")
        return row is not None and row["last_error"] == "unreachable"

    await until(tried)
    assert await owed(pool) == ["owed"]
    await asyncio.to_thread(association.release)


async def test_a_peer_whose_entry_says_no_address_is_told_of_once(
    gateway: Gateway, pool: asyncpg.Pool, modality: Modality
) -> None:
    modality.answers = 0x0110
    async with over(modality, gateway.port) as association:
        for number in range(2):
            await asyncio.to_thread(ask, association, asked([("1.2.3.404", CR)], f"1.2.3.7.{number}"))
        await has_come(modality.on_own, 2)

        async def postponed() -> bool:
            return bool(await pool.fetchval("select count(*) = 2 from delivery where last_error is not null"))

        await until(postponed)

    async def found() -> bool:
        return bool(
            await pool.fetchval("select count(*) = 1 from finding where code = 'commitment-result-unaddressed'")
        )

    await until(found)
    assert await owed(pool) == ["owed", "owed"]


async def test_the_same_request_again_has_the_same_result_and_another_under_its_uid_fails(
    gateway: Gateway, pool: asyncpg.Pool, modality: Modality, radiograph: Write
) -> None:
    one, other = await stored(gateway, radiograph, 2)
    async with over(modality, gateway.port) as association:
        for count, uid in enumerate((one, one, other), 1):
            assert await asyncio.to_thread(ask, association, asked([(uid, CR)])) == 0
            await has_come(modality.on_own, count)
    assert [kind for kind, _ in modality.on_own] == [1, 1, 2]
    assert failed(modality.on_own[2][1]) == {other: DUPLICATE}
    assert await pool.fetchval("select count(*) from commitment") == 2


REFUSED: list[tuple[str, Dataset, int, str, int]] = [
    ("another action", asked([("1.2.3.1", CR)]), 2, WELL_KNOWN, 0x0123),
    ("another instance", asked([("1.2.3.1", CR)]), 1, "1.2.3.4", 0x0112),
    ("no instances", asked([]), 1, WELL_KNOWN, 0x0115),
    ("no transaction", asked([("1.2.3.1", CR)], ""), 1, WELL_KNOWN, 0x0115),
    ("an instance that is none", asked([("a/b", CR)]), 1, WELL_KNOWN, 0x0115),
]


async def test_what_is_no_request_is_refused(gateway: Gateway, pool: asyncpg.Pool, modality: Modality) -> None:
    async with over(modality, gateway.port) as association:
        answered = [
            (what, await asyncio.to_thread(ask, association, information, action, instance))
            for what, information, action, instance, _ in REFUSED
        ]
    assert answered == [(what, status) for what, _, _, _, status in REFUSED]
    assert await pool.fetchval("select count(*) from commitment") == 0


async def test_what_was_asked_to_be_kept_is_announced(
    gateway: Gateway, pool: asyncpg.Pool, modality: Modality, radiograph: Write
) -> None:
    (uid,) = await stored(gateway, radiograph)
    async with over(modality, gateway.port) as association:
        await asyncio.to_thread(ask, association, asked([(uid, CR), ("1.2.3.404", CR)]))
        await has_come(modality.on_own)
    rows = await pool.fetch("select study_uid, sop_uid, source, said_by from announced_instance order by sop_uid")
    assert sorted(tuple(row) for row in rows) == sorted(
        ("1.2.3.1", sop_uid, "commitment", "DR_BAISHI") for sop_uid in (uid, "1.2.3.404")
    )

"""What is sent while something dies, and what must be true of it afterwards?"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

from tests.integration.faults.clients import Client, msa, send_all
from tests.integration.faults.messages import register
from tests.integration.faults.serving import Served, until

CONNECTIONS = 8
PER_PATIENT = 20
LOAD_SECS = 300.0
"""For thousands of messages on a machine that does much else; alone it takes seconds."""


@dataclass
class Load:
    """Messages of many patients on eight connections; each one changes its patient, so that each leaves its mark."""

    name: str
    messages: int
    acknowledged: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """What its patients and control ids begin with."""
        return f"{self.name}."

    @property
    def patients(self) -> int:
        return self.messages // PER_PATIENT

    def payload(self, patient: int, number: int) -> bytes:
        return register(f"{self.key}{patient}", self.control_id(patient, number), phone=f"139{number:08d}")

    def control_id(self, patient: int, number: int) -> str:
        return f"{self.key}{patient}.{number}"

    @property
    def sent(self) -> dict[str, bytes]:
        return {
            self.control_id(patient, number): self.payload(patient, number)
            for patient in range(self.patients)
            for number in range(1, PER_PATIENT + 1)
        }

    async def send(self, hub: Served) -> list[Client]:
        """Returns when every message has been acknowledged."""
        clients = [Client(hub.port("his")) for _ in range(CONNECTIONS)]
        queues = [
            [
                self.payload(patient, number)
                for number in range(1, PER_PATIENT + 1)
                for patient in range(connection, self.patients, CONNECTIONS)
            ]
            for connection in range(CONNECTIONS)
        ]
        await send_all(clients, queues, self._answered)
        return clients

    def _answered(self, answer: bytes) -> None:
        code, control_id = msa(answer)
        assert code == "AA", answer
        self.acknowledged.append(control_id)

    async def at(self, share: float) -> None:
        """Waits until that share of the messages has been acknowledged."""
        wanted = share * self.messages
        await until(f"{wanted:.0f} acknowledgments", lambda: len(self.acknowledged) >= wanted, within_secs=LOAD_SECS)


async def every_message_is_journaled_once(hub: Served, load: Load) -> None:
    async with hub.database() as database:
        rows = await database.fetch(
            "select control_id, payload from journal where control_id like $1", f"{load.name}.%"
        )
    assert len(rows) == load.messages
    assert {row["control_id"]: row["payload"] for row in rows} == load.sent
    assert sorted(load.acknowledged) == sorted(load.sent)


async def every_message_is_processed_once(hub: Served, load: Load) -> None:
    """One outcome each, and of each patient one version for each message, in the order they were sent."""
    async with hub.database() as database:

        async def all_done() -> bool:
            return not await database.fetchval(
                "select count(*) from inbox i join journal j on j.id = i.envelope where starts_with(j.control_id, $1)",
                load.key,
            )

        await until("the inbox is empty", all_done, within_secs=LOAD_SECS)
        outcomes = await database.fetch(
            """
            select o.state, count(*) from outcome o join journal j on j.id = o.envelope
            where starts_with(j.control_id, $1) group by o.state
            """,
            load.key,
        )
        assert [tuple(row) for row in outcomes] == [("processed", load.messages)]
        versions = await database.fetch(
            """
            select id, version, body->'telecom'->0->>'value' as phone
            from (select type, id, version, body from resource union all
                  select type, id, version, body from resource_history) every
            where type = 'Patient' and body->'link' is null and starts_with(body->'identifier'->0->>'value', $1)
            order by id, version
            """,
            load.key,
        )
    expected = [(number, f"139{number:08d}") for number in range(1, PER_PATIENT + 1)]
    patients = {patient: list(rows) for patient, rows in groupby(versions, key=lambda row: row["id"])}
    assert len(patients) == load.patients
    for rows in patients.values():
        assert [(row["version"], row["phone"]) for row in rows] == expected

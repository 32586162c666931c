"""What cannot be mapped is held with the reason; others go on, and only its own patient waits."""

from __future__ import annotations

from functools import partial

import asyncpg

from tests.integration.faults.clients import Client, msa
from tests.integration.faults.messages import register, result
from tests.integration.faults.serving import Served, until

NO_CODE = "^^"


async def test_a_message_whose_mapping_fails_is_held_naming_rule_and_field_and_only_its_patient_waits(
    hub: Served,
) -> None:
    his = Client(hub.port("his"))
    sent = {
        "H.bad": result("H1", "H.bad", code=NO_CODE),
        "H.behind": register("H1", "H.behind"),
        "H.other": register("H2", "H.other"),
        "H.later": register("H3", "H.later"),
    }
    async with hub.database() as database:
        for control_id, payload in sent.items():
            assert msa(await his.ask(payload)) == ("AA", control_id)
        for control_id in ("H.other", "H.later"):
            await until("others are processed", partial(state, database, control_id, "processed"))
        await until("it is held", partial(state, database, "H.bad", "held"))
        (finding,) = await database.fetch(
            """
            select f.*, i.state from finding f join journal j on j.id = f.envelope join inbox i on i.envelope = j.id
            where j.control_id = 'H.bad' and f.severity = 'error'
            """
        )
        assert (finding["state"], finding["rule"], finding["location"]) == ("held", "result-id", "OBX-3")
        assert "OBX-3" in finding["text"]
        assert not await state(database, "H.behind", "processed")
        assert await state(database, "H.behind", "accepted")
    assert "of channel his is held (not-identified); " in hub.said()
    his.leave()


async def test_a_message_of_a_type_that_nothing_maps_is_held_and_nobody_waits_for_it(hub: Served) -> None:
    his = Client(hub.port("his"))
    unknown = register("H4", "H.unknown").replace(b"ADT^A08", b"ZZZ^Z01")
    assert msa(await his.ask(unknown)) == ("AA", "H.unknown")
    assert msa(await his.ask(register("H4", "H.behind-unknown"))) == ("AA", "H.behind-unknown")
    async with hub.database() as database:
        await until("the next one is processed", lambda: state(database, "H.behind-unknown", "processed"))
        await until("it is held", lambda: state(database, "H.unknown", "held"))
    his.leave()


async def state(database: asyncpg.Connection, control_id: str, wanted: str) -> bool:
    """Whether the one message of that control id is there."""
    found: str = await database.fetchval(
        """
        select coalesce(o.state, i.state)
        from journal j left join inbox i on i.envelope = j.id left join outcome o on o.envelope = j.id
        where j.control_id = $1
        """,
        control_id,
    )
    return found == wanted

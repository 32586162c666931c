"""Two facilities have a device of one AE title, and one of them listens: nobody else's objects are moved to it."""

from __future__ import annotations

import asyncio

from pynetdicom import AE

from engine.config import AeEntry
from pacs_gateway.query.models import STUDY_ROOT
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.test_getting import study
from tests.integration.gateway.test_moving import DESTINATION_UNKNOWN
from tests.ports import free_port

NOTHING_TO_SEND = 0x0000


async def test_who_names_its_own_title_means_itself(start: Start) -> None:
    gateway = await start(
        ae_entries=(
            AeEntry(ae_title="CT", facility="baishi", address="127.0.0.1", port=free_port()),
            AeEntry(ae_title="CT", facility="qingxi", address="127.0.0.2"),
            AeEntry(ae_title="DR", facility="qingxi"),
        )
    )

    def moved(title: str, host: str) -> int:
        entity = AE(title)
        entity.add_requested_context(STUDY_ROOT.move)
        association = entity.associate("127.0.0.1", gateway.port, bind_address=(host, 0))
        assert association.is_established
        answers = [status.Status for status, _ in association.send_c_move(study("1.2.1"), "CT", STUDY_ROOT.move)]
        association.release()
        return int(answers[-1])

    asked = [
        await asyncio.to_thread(moved, *who) for who in (("CT", "127.0.0.1"), ("CT", "127.0.0.2"), ("DR", "127.0.0.2"))
    ]
    assert asked == [NOTHING_TO_SEND, DESTINATION_UNKNOWN, NOTHING_TO_SEND]

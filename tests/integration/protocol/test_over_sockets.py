"""The same over real sockets: silence where none is asked for, batches in any chunks, receipts of what is owed."""

from __future__ import annotations

import asyncio

from adapters.mllp.sender import MllpSender
from conformance.simulators.mllp import framed, read_block
from engine.clock import now
from engine.codecs import acknowledgment, er7, er7_batch
from engine.config import MllpEndpoint
from engine.delivery import Couriers
from engine.ports import Sender
from tests.integration.faults.serving import until
from tests.integration.protocol.conftest import Hub
from tests.integration.protocol.messages import order, query, registration
from tests.integration.protocol.test_batches import answers, batch_of
from tests.integration.protocol.test_real_messages import listening


async def test_nothing_is_written_for_who_wants_nothing_and_the_next_answer_is_the_next_message_s(hub: Hub) -> None:
    async with listening(hub, "his") as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for control_id, modes in (("M1", "ER|NE"), ("M2", "NE|NE"), ("M3", "ER|NE"), ("M4", "|")):
            writer.write(framed(registration("P1", control_id, modes=modes)))
        async with asyncio.timeout(60):
            given = [acknowledgment.read(await read_block(reader) or b"") for _ in range(2)]
            assert [(one.code, one.control_id) for one in given] == [("CA", "M2"), ("AA", "M4")]
            writer.write_eof()
            assert await reader.read() == b""
        writer.close()
    assert await hub.value("select count(*) from journal") == 4


async def test_a_batch_and_a_query_are_answered_in_any_chunks(hub: Hub) -> None:
    batch = batch_of(registration("P1", "M1"), registration("P2", "M2"))
    stream = framed(batch) + framed(query("Q22", "9", "Q22|T1|@PID.3.1^P1")) + framed(registration("P3", "M3"))
    async with listening(hub, "his") as port:
        for size in (1, 7, len(stream)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for at in range(0, len(stream), size):
                writer.write(stream[at : at + size])
                await writer.drain()
            async with asyncio.timeout(60):
                blocks = [await read_block(reader) or b"" for _ in range(3)]
            assert answers(blocks[0]) == [("AA", "M1"), ("AA", "M2")]
            assert er7.parse(blocks[1]).named("QAK")[0].value(1) == "T1"
            assert acknowledgment.read(blocks[2]).control_id == "M3"
            writer.close()
    assert await hub.value("select count(*) from journal where kind = 'hl7v2'") == 3


async def test_a_client_that_leaves_before_its_batch_is_answered_costs_nobody_anything(hub: Hub) -> None:
    async with listening(hub, "his") as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(framed(batch_of(*(registration(f"P{n}", f"M{n}") for n in range(400)))))
        await writer.drain()
        writer.transport.abort()
        reader, other = await asyncio.open_connection("127.0.0.1", port)
        other.write(framed(registration("P9", "NEXT")))
        async with asyncio.timeout(60):
            assert acknowledgment.read(await read_block(reader) or b"").code == "AA"
        other.close()


async def test_an_owed_acknowledgment_is_delivered_until_its_own_acceptance(hub: Hub) -> None:
    """The sender's system answers the first attempt for another message, the second with CA."""
    taken: list[er7.Message] = []

    async def his(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (payload := await read_block(reader)) is not None:
            message = er7.parse(payload)
            taken.append(message)
            echoed = message.control_id if len(taken) > 1 else "ANOTHER"
            writer.write(framed(f"MSH|^~\\&|HIS|BS|||2026||ACK|{len(taken)}|P|2.5\rMSA|CA|{echoed}\r".encode()))
        writer.close()

    server = await asyncio.start_server(his, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = hub.community.endpoints["his-answers"].model_copy(
        update={"address": f"mllp://127.0.0.1:{port}", "retry": {"first_secs": 0.01, "max_secs": 0.05}}
    )
    endpoint = MllpEndpoint.model_validate(endpoint.model_dump())
    community = hub.community.model_copy(update={"endpoints": {"his-answers": endpoint}})

    def make_sender(endpoint: MllpEndpoint) -> Sender:
        return MllpSender("127.0.0.1", port, answer_timeout_secs=60)

    await hub.send("enhanced", registration("P1", "M1", modes="AL|AL"))
    await hub.run()
    couriers = asyncio.create_task(Couriers(hub.url, community, make_sender, now).run())
    try:

        async def delivered() -> bool:
            return bool(await hub.value("select count(*) from delivery where state = 'delivered'") == 1)

        await until("the acknowledgment is delivered", delivered)
    finally:
        couriers.cancel()
        await asyncio.wait([couriers])
        server.close()
    assert [message.named("MSA")[0].value(2) for message in taken] == ["M1", "M1"]
    assert taken[0].payload == taken[1].payload, "a repeat is the same bytes"
    outcomes = [row["outcome"] for row in await hub.fetch("select outcome from delivery_attempt order by at")]
    assert outcomes == ["ack-mismatch", "delivered"]


async def test_an_order_response_that_comes_as_the_receipt_changes_the_order(hub: Hub) -> None:
    async def ris(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (payload := await read_block(reader)) is not None:
            control_id = er7.parse(payload).control_id
            writer.write(framed(
                f"MSH|^~\\&|RIS|R|||2026||ORR^O02|1|P|2.5\rMSA|AA|{control_id}\rORC|OK|A1^HIS|F77^RIS||IP\r".encode()
            ))  # fmt: skip
        writer.close()

    server = await asyncio.start_server(ris, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    community = hub.community.model_copy(update={"endpoints": {"ris": hub.community.endpoints["ris"]}})
    placed = order("ORM^O01", "M7", "ORC|NW|A1^HIS", "OBR|1|A1^HIS||DR1^胸部正位^L" + "|" * 20 + "DX")
    await hub.send("clinic", placed)
    await hub.run()
    couriers = asyncio.create_task(
        Couriers(hub.url, community, lambda _: MllpSender("127.0.0.1", port, answer_timeout_secs=60), now).run()
    )
    try:

        async def numbered() -> bool:
            (placed,) = await hub.resources("ServiceRequest")
            return "F77" in str(placed["identifier"])

        await until("the filler's number is in the order", numbered)
    finally:
        couriers.cancel()
        await asyncio.wait([couriers])
        server.close()


async def test_an_answer_that_is_no_batch_is_told_from_one(hub: Hub) -> None:
    async with listening(hub, "his") as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(framed(b"BHS|^~\\&|HIS\r" + registration("P1", "M1")))
        async with asyncio.timeout(60):
            refused = await read_block(reader) or b""
        assert not er7_batch.is_batch(refused)
        assert acknowledgment.read(refused).code == "AR"
        writer.close()

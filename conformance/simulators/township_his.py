"""What does a health centre's HIS say and hear? It registers, orders, and receives reports, all in HL7 v2 over MLLP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from itertools import count
from uuid import UUID

from conformance.errors import ConformanceError, NoAnswerError, UnexpectedAnswerError, expect
from conformance.simulators import hl7
from conformance.simulators.mllp import FRAME_LIMIT_BYTES, MllpConnection, framed, read_block
from conformance.simulators.people import Person


@dataclass(frozen=True, slots=True)
class His:
    """One facility's system: how it signs its messages (MSH-3, MSH-4) and the only charset it knows.

    declares_charset  False for one that, as many do, leaves MSH-18 empty whatever it sends
    """

    application: str
    facility: str
    charset: str
    version: str = "2.4"
    declares_charset: bool = True

    @property
    def character_set(self) -> str:
        """MSH-18."""
        return hl7.CHARSET_NAMES[self.charset] if self.declares_charset else ""


@dataclass(frozen=True, slots=True)
class ImagingOrder:
    """An examination asked for.

    placer     the number this system gives the order (ORC-2)
    code       procedure in the facility's own catalogue (OBR-4)
    accession  OBR-18; empty where the hub issues it
    """

    placer: str
    code: str
    text: str
    modality: str
    accession: str
    reason: str
    doctor: tuple[str, str]
    ordered_at: datetime


@dataclass(frozen=True, slots=True)
class Acknowledgment:
    """An answer to one message: MSA-1, MSA-2, and its exact bytes."""

    code: str
    control_id: str
    payload: bytes


class HisClient:
    """The side of a HIS that sends, on one connection that it keeps."""

    def __init__(self, his: His, connection: MllpConnection, ids: Callable[[], UUID]) -> None:
        self._his, self._connection, self._ids = his, connection, ids

    async def register(self, person: Person, visit: str, at: datetime) -> Acknowledgment:
        """ADT^A04: a patient has come."""
        event = hl7.segment("EVN", {1: "A04", 2: _time(at)})
        return await self._tell("ADT", "A04", "ADT_A01", at, event, _pid(person), _pv1(visit))

    async def order(self, person: Person, visit: str, order: ImagingOrder) -> Acknowledgment:
        """ORM^O01, ORC-1 NW: an examination is asked for."""
        return await self._order_control("NW", person, visit, order, order.ordered_at)

    async def cancel(self, person: Person, visit: str, order: ImagingOrder, at: datetime) -> Acknowledgment:
        """ORM^O01, ORC-1 CA: it is not wanted any more."""
        return await self._order_control("CA", person, visit, order, at)

    async def _order_control(
        self, control: str, person: Person, visit: str, order: ImagingOrder, at: datetime
    ) -> Acknowledgment:
        return await self._tell(
            "ORM", "O01", "ORM_O01", at, _pid(person), _pv1(visit), _orc(control, order), _obr(order)
        )

    async def _tell(self, kind: str, event: str, structure: str, at: datetime, *segments: str) -> Acknowledgment:
        """Sends one message; returns its positive acknowledgment, or raises UnexpectedAnswerError."""
        control_id = self._ids().hex[:20]
        header = hl7.segment(
            "MSH",
            {
                3: self._his.application,
                4: self._his.facility,
                5: "HUTONG",
                6: "QINGXI",
                7: _time(at),
                9: (kind, event, structure),
                10: control_id,
                11: "P",
                12: self._his.version,
                18: self._his.character_set,
            },
        )
        answer = await self._connection.ask(hl7.message(header, *segments, charset=self._his.charset))
        acknowledgment = read_acknowledgment(answer, self._his.charset)
        expect(f"{kind}^{event}: MSA-2 names the message it answers", wanted=control_id, got=acknowledgment.control_id)
        if acknowledgment.code not in ("AA", "CA"):
            raise UnexpectedAnswerError(f"{kind}^{event} was answered {acknowledgment.code}")
        return acknowledgment


def read_acknowledgment(payload: bytes, charset: str) -> Acknowledgment:
    """Raises UnexpectedAnswerError when the answer is no acknowledgment."""
    try:
        message = hl7.read(payload, charset)
    except UnicodeDecodeError as error:
        raise UnexpectedAnswerError(f"an answer that is not {charset}") from error
    if not message.all("MSA"):
        raise UnexpectedAnswerError("an answer without MSA")
    return Acknowledgment(message.value("MSA", 1), message.value("MSA", 2), payload)


class Answer(Enum):
    """How the receiving side of a HIS behaves."""

    ACCEPT = "accept"
    ERROR = "error"
    REJECT = "reject"
    BUSY = "busy"
    """AE with condition 207, application internal error: the sender should try again (HL7 table 0357)."""
    ANOTHER = "another"
    """AA, but for a message that nobody sent."""
    SILENCE = "silence"
    """Reads, and never answers."""


_CODES = {
    Answer.ACCEPT: "AA",
    Answer.ERROR: "AE",
    Answer.REJECT: "AR",
    Answer.BUSY: "AE",
    Answer.ANOTHER: "AA",
}


class HisInbox:
    """The side of a HIS that receives reports: an MLLP server that keeps what came.

    `received` holds every message in the order it came, refused ones too. `port` 0 takes any free one.
    """

    def __init__(self, his: His, port: int = 0, control_ids: Callable[[], int] | None = None) -> None:
        self._his = his
        self._control_ids = control_ids or count(1).__next__
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._arrived = asyncio.Condition()
        self.received: list[hl7.Message] = []
        self.answer = Answer.ACCEPT
        self.port = port

    async def open(self, host: str = "127.0.0.1") -> None:
        """Listens; when it comes back, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, host, self.port, limit=FRAME_LIMIT_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def go_down(self) -> None:
        """Stops listening and drops every connection, as a machine that is switched off does."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def wait_for(self, what: str, wanted: Callable[[hl7.Message], bool], *, within_secs: float) -> hl7.Message:
        """The first message received that is the wanted one, whether it has come already or comes now."""
        try:
            async with asyncio.timeout(within_secs), self._arrived:
                await self._arrived.wait_for(lambda: any(wanted(message) for message in self.received))
        except TimeoutError as error:
            raise NoAnswerError(f"{what}: not within {within_secs:g} s") from error
        return next(message for message in self.received if wanted(message))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while (payload := await read_block(reader)) is not None:
                await self._take(payload, writer)
        except (ConformanceError, ConnectionError, UnicodeDecodeError):
            # What is no message in this system's charset gets what such a system gives: a closed connection.
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _take(self, payload: bytes, writer: asyncio.StreamWriter) -> None:
        message = hl7.read(payload, self._his.charset)
        async with self._arrived:
            self.received.append(message)
            self._arrived.notify_all()
        if self.answer is not Answer.SILENCE:
            writer.write(framed(self._acknowledgment(message)))
            await writer.drain()

    def _acknowledgment(self, message: hl7.Message) -> bytes:
        header = hl7.segment(
            "MSH",
            {
                3: self._his.application,
                4: self._his.facility,
                5: message.value("MSH", 3),
                6: message.value("MSH", 4),
                7: message.value("MSH", 7),
                9: ("ACK", message.value("MSH", 9, 2)),
                10: f"ACK{self._control_ids():08d}",
                11: "P",
                12: message.value("MSH", 12),
                18: self._his.character_set,
            },
        )
        control_id = "NOT-YOURS" if self.answer is Answer.ANOTHER else message.value("MSH", 10)
        segments = [header, hl7.segment("MSA", {1: _CODES[self.answer], 2: control_id})]
        if self.answer is Answer.BUSY:
            # ERR-1 up to version 2.4, ERR-3 since 2.5.
            segments.append(hl7.segment("ERR", {1: ("", "", "", "207"), 3: "207", 4: "E"}))
        return hl7.message(*segments, charset=self._his.charset)


def _pid(person: Person) -> str:
    return hl7.segment(
        "PID",
        {
            1: "1",
            3: [(person.local_id, "", "", "HIS", "MR"), (person.id_card, "", "", "CN", "NI")],
            5: (person.name,),
            7: f"{person.birth_on:%Y%m%d}",
            8: person.sex,
            11: ("", "", "", "", "", "CHN", "H", person.address),
            13: ("", "PRN", "PH", "", "", "", person.phone),
            19: person.id_card,
        },
    )


def _pv1(visit: str) -> str:
    return hl7.segment("PV1", {1: "1", 2: "O", 3: ("全科门诊",), 19: visit})


def _orc(control: str, order: ImagingOrder) -> str:
    number, name = order.doctor
    return hl7.segment("ORC", {1: control, 2: order.placer, 9: _time(order.ordered_at), 12: (number, name)})


def _obr(order: ImagingOrder) -> str:
    number, name = order.doctor
    return hl7.segment(
        "OBR",
        {
            1: "1",
            2: order.placer,
            4: (order.code, order.text, "L"),
            5: "R",
            13: order.reason,
            16: (number, name),
            18: order.accession,
            24: order.modality,
            27: ("", "", "", "", "", "R"),
            31: ("", order.reason),
            36: _time(order.ordered_at),
        },
    )


def _time(at: datetime) -> str:
    return f"{at:%Y%m%d%H%M%S}"

"""How does one examination go out from a health centre and come back as a report? Steps 1 to 8, each one verified."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydicom.uid import UID, generate_uid

from conformance.errors import UnexpectedAnswerError, expect
from conformance.pictures import LEADS, Picture
from conformance.plan import Examination
from conformance.reports import Expected, observed_texts, verify
from conformance.simulators import hl7
from conformance.simulators.mllp import MllpConnection
from conformance.simulators.modality import Modality, ScheduledStep, Stored, content_sha256
from conformance.simulators.reading_room import ReadingRoom
from conformance.simulators.township_his import HisClient, HisInbox, ImagingOrder
from conformance.steps import Telling
from conformance.waiting import until

SOON_SECS = 120
"""Each thing that a hub does in its own time takes well under a second; this is when we stop believing in it, also on a
machine that does much else."""


@dataclass(frozen=True, slots=True)
class Actors:
    """Everyone outside the hub who takes part in one examination."""

    connection: MllpConnection
    inbox: HisInbox
    modality: Modality
    reader: ReadingRoom
    reviewer: ReadingRoom


@dataclass(frozen=True, slots=True)
class Returned:
    """What came back: read from the bytes of the ORU^R01 that the health centre's HIS received."""

    placer: str
    accession: str
    study_uid: str
    request: str
    report: str
    sop_uid: str
    content_sha256: str
    picture: Picture
    oru: hl7.Message

    def told(self) -> dict[str, Any]:
        """As JSON, the exact bytes of the ORU included."""
        return {
            "placer": self.placer,
            "accession": self.accession,
            "study_uid": self.study_uid,
            "sop_uid": self.sop_uid,
            "content_sha256": self.content_sha256,
            "picture": {"kind": self.picture.kind, "columns": self.picture.columns, "rows": self.picture.rows},
            "report": self.report,
            "oru": {
                "control_id": self.oru.value("MSH", 10),
                "charset": self.oru.value("MSH", 18),
                "patient_id": self.oru.value("PID", 3),
                "patient_name": self.oru.value("PID", 5),
                "placer": self.oru.value("OBR", 2),
                "accession": self.oru.value("OBR", 18),
                "status": self.oru.value("OBR", 25),
                "texts": observed_texts(self.oru),
                "payload_base64": b64encode(self.oru.payload).decode(),
            },
        }


class ExaminationPlayed:
    """One examination as it is played; the steps are methods in their order."""

    def __init__(
        self,
        examination: Examination,
        actors: Actors,
        telling: Telling,
        *,
        clock: Callable[[], datetime],
        ids: Callable[[], UUID],
    ) -> None:
        self._examination, self._actors, self._telling = examination, actors, telling
        self._clock, self._ids = clock, ids
        at = clock()
        self._visit = f"V{at:%Y%m%d}{ids().hex[:6].upper()}"
        self._order = ImagingOrder(
            placer=f"{examination.site.facility[:2].upper()}{at:%y%m%d}{ids().hex[:6].upper()}",
            code=examination.code,
            text=examination.text,
            modality=examination.modality,
            accession=examination.accession,
            reason=examination.reason,
            doctor=examination.doctor,
            ordered_at=at,
        )

    async def play(self) -> Returned:
        step, stored, row = await self.send_out()
        picture = await self._read(row["id"], stored)
        await self._review_and_sign(row["id"])
        return await self._come_back(row["id"], step, stored, picture)

    async def send_out(self) -> tuple[ScheduledStep, Stored, dict[str, Any]]:
        """The way out only: the study waits at the centre for whoever reads it."""
        await self._register()
        await self._ask_for_it()
        step = await self._fetch_worklist()
        stored = await self._examine(step)
        return step, stored, await self._reach_the_centre(step)

    async def _register(self) -> None:
        patient, his = self._examination.patient, self._examination.site.his
        with self._telling.step(1, "登记患者", "patient registered, ADT^A04") as proof:
            client = HisClient(his, self._actors.connection, self._ids)
            answer = await client.register(patient, self._visit, self._clock())
            proof += [f"{patient.name} {patient.local_id}", his.charset.upper(), f"MSA|{answer.code}"]

    async def _ask_for_it(self) -> None:
        with self._telling.step(2, "开立检查申请", "examination ordered, ORM^O01") as proof:
            client = HisClient(self._examination.site.his, self._actors.connection, self._ids)
            answer = await client.order(self._examination.patient, self._visit, self._order)
            proof += [self._order.text, self._order.placer, f"MSA|{answer.code}"]

    async def _fetch_worklist(self) -> ScheduledStep:
        examination, patient = self._examination, self._examination.patient
        with self._telling.step(3, "设备取工作列表", "worklist fetched, MWL C-FIND") as proof:
            step = await until("the order in the worklist", self._scheduled, within_secs=SOON_SECS)
            expect("the worklist's patient name", wanted=patient.name, got=step.name_as_written)
            expect("the worklist's birth date", wanted=f"{patient.birth_on:%Y%m%d}", got=step.birth_date)
            expect("the worklist's character set", wanted=examination.site.dicom_charset, got=step.charset)
            if examination.accession:
                expect("the accession number of the order", wanted=examination.accession, got=step.accession)
            if not 0 < len(step.accession) <= 16:
                raise UnexpectedAnswerError("an accession number of 1 to 16 characters was expected (PS3.5 §6.2, SH)")
            proof += [step.patient_name, f"检查号 {step.accession}", examination.site.ae_title, step.charset]
        return step

    async def _scheduled(self) -> ScheduledStep | None:
        steps = await asyncio.to_thread(
            self._actors.modality.worklist,
            self._examination.modality,
            patient_id=self._examination.patient.local_id,
        )
        wanted = self._order.accession
        ours = [step for step in steps if self._order.placer == step.placer or (wanted and wanted == step.accession)]
        return ours[0] if ours else None

    async def _examine(self, step: ScheduledStep) -> Stored:
        modality, source = self._actors.modality, self._examination.source
        with self._telling.step(4, "检查并上传", "images stored, C-STORE") as proof:
            made = await asyncio.to_thread(modality.examine, step, source, self._clock())
            stored = await asyncio.to_thread(modality.store, made)
            proof += [stored.sop_class, stored.transfer_syntax, f"{stored.bytes / 1e6:.1f} MB", "0x0000"]
        return stored

    async def _reach_the_centre(self, step: ScheduledStep) -> dict[str, Any]:
        examination = self._examination
        with self._telling.step(5, "到达诊断中心", "in the centre's worklist") as proof:
            row: dict[str, Any] = await until(
                "the study in the centre's worklist",
                lambda: self._actors.reader.waiting(examination.desk.centre, step.accession),
                within_secs=SOON_SECS,
            )
            expect("the patient in the centre's worklist", wanted=examination.patient.name, got=row["patient"]["name"])
            expect("the facility that asks", wanted=examination.site.facility, got=row["facility"]["code"])
            proof += [row["centre_display"], row["patient"]["name"], row["procedure"]]
        return row

    async def _read(self, request: str, stored: Stored) -> Picture:
        """The reader takes the request, looks at what was stored, writes and submits."""
        examination, reader = self._examination, self._actors.reader
        with self._telling.step(6, "阅片、书写、提交", "read, written, submitted") as proof:
            await reader.claim(request)
            opened = await reader.open(request)
            instance = _instance(opened, stored.sop_uid)
            original = await reader.original(stored.study_uid, stored.series_uid, stored.sop_uid)
            expect("the pixels kept", wanted=stored.content_sha256, got=content_sha256(original))
            picture = await reader.look(instance["rendered"])
            _expect_picture(picture, stored)
            await reader.write(request, examination.observed, examination.conclusion)
            await reader.submit(request)
            proof += [examination.desk.reader, _described(picture), examination.conclusion]
        return picture

    async def _review_and_sign(self, request: str) -> None:
        reviewer, name = self._actors.reviewer, self._examination.desk.reviewer
        with self._telling.step(7, "审核、签发", "reviewed and signed by another") as proof:
            opened = await reviewer.open(request)
            expect("what the reviewer reads", wanted=self._examination.conclusion, got=opened["report"]["conclusion"])
            await reviewer.approve(request)
            await reviewer.sign(request)
            proof += [name, "final"]

    async def _come_back(self, request: str, step: ScheduledStep, stored: Stored, picture: Picture) -> Returned:
        examination = self._examination
        with self._telling.step(8, "报告回传", "report returned, ORU^R01, acknowledged") as proof:
            oru = await self._actors.inbox.wait_for(
                "the report", lambda message: message.value("OBR", 2) == self._order.placer, within_secs=SOON_SECS
            )
            verify(oru, self._expected(step.accession))
            view = await until("the request closed", lambda: self._closed(request), within_secs=SOON_SECS)
            proof += [examination.site.name, f"{oru.value('PID', 5)} {oru.value('OBR', 18)}", examination.conclusion]
        return Returned(
            placer=self._order.placer,
            accession=step.accession,
            study_uid=stored.study_uid,
            request=request,
            report=view["report"]["id"],
            sop_uid=stored.sop_uid,
            content_sha256=stored.content_sha256,
            picture=picture,
            oru=oru,
        )

    def _expected(self, accession: str) -> Expected:
        examination, patient = self._examination, self._examination.patient
        return Expected(
            charset=examination.site.his.charset,
            patient_id=patient.local_id,
            patient_name=patient.name,
            placer=self._order.placer,
            code=self._order.code,
            accession=accession,
            signer=examination.desk.reviewer,
            observed=examination.observed,
            conclusion=examination.conclusion,
        )

    async def _closed(self, request: str) -> dict[str, Any] | None:
        opened = await self._actors.reviewer.open(request)
        return opened if opened["request"]["state"] == "returned" else None


def new_uid() -> UID:
    """A UID made from a UUID, which needs no registered root (PS3.5 §B.2)."""
    return UID(generate_uid(prefix=None))


def _instance(opened: dict[str, Any], sop_uid: str) -> dict[str, Any]:
    series = [series for study in opened["studies"] for series in study["series"]]
    for instance in [instance for each in series for instance in each["instances"]]:
        if instance["sop_uid"] == sop_uid:
            return dict(instance)
    raise UnexpectedAnswerError("the object that was stored is not in the request")


def _expect_picture(picture: Picture, stored: Stored) -> None:
    if stored.rows:
        expect("the picture", wanted=Picture("PNG", stored.columns, stored.rows), got=picture)
    else:
        expect("the leads drawn", wanted=Picture("SVG", leads=LEADS), got=picture)


def _described(picture: Picture) -> str:
    return f"PNG {picture.columns}×{picture.rows}" if picture.kind == "PNG" else f"SVG {len(picture.leads)} 导联"

"""What happens in the example county today? A radiograph and an ECG side by side, then a question at the county."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from conformance.cast import COUNTY_CHANNEL, COUNTY_DOCTOR, COUNTY_HIS, COUNTY_NAME, Site
from conformance.errors import ConformanceError, UnexpectedAnswerError, expect
from conformance.examination import SOON_SECS, Actors, ExaminationPlayed, Returned, new_uid
from conformance.hub import Sockets
from conformance.pictures import Picture
from conformance.plan import Examination
from conformance.simulators.county_his import CountyHis
from conformance.simulators.dicom_address import DicomAddress
from conformance.simulators.http import HubHttp
from conformance.simulators.mllp import MllpConnection
from conformance.simulators.modality import Modality
from conformance.simulators.reading_room import ReadingRoom
from conformance.simulators.township_his import HisClient, HisInbox
from conformance.steps import Step, StoryFailedError, Telling
from conformance.waiting import until

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the story is played: a running hub, the tokens of its users, and where its endpoints lead."""

    sockets: Sockets
    tokens: Mapping[str, str]
    inboxes: Mapping[str, HisInbox]
    clock: Callable[[], datetime]
    ids: Callable[[], UUID]


@dataclass(frozen=True, slots=True)
class Told:
    """The whole story once it is over."""

    seconds: float
    steps: tuple[Step, ...]
    returned: Mapping[str, Returned]
    recognition: Mapping[str, Any]

    def save(self, path: Path) -> None:
        """As JSON, for whoever compares."""
        content = {
            "ok": True,
            "seconds": round(self.seconds, 3),
            "steps": [asdict(step) for step in self.steps],
            "examinations": {facility: returned.told() for facility, returned in self.returned.items()},
            "recognition": self.recognition,
        }
        _save(path, content)


def save_failure(path: Path, failure: StoryFailedError, steps: Sequence[Step], findings: Sequence[str]) -> None:
    """As JSON: how far it came, what did not happen, and what the hub itself had to say."""
    failed = {"number": failure.number, "thread": failure.thread, "reason": failure.reason}
    told = [asdict(step) for step in steps]
    _save(path, {"ok": False, "steps": told, "failed": failed, "findings": list(findings)})


def _save(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


async def open_inboxes(sites: tuple[Site, ...]) -> dict[str, HisInbox]:
    """The receiving side of each HIS, listening, by the hub's name for the endpoint."""
    inboxes = {site.endpoint: HisInbox(site.his) for site in sites}
    for inbox in inboxes.values():
        await inbox.open(_HOST)
    return inboxes


async def issue_tokens(http: str, administrator: str, users: tuple[str, ...]) -> dict[str, str]:
    """A token for each user, asked for as the administrator."""
    async with HubHttp(http, administrator) as hub:
        return {user: (await hub.post(f"/api/users/{user}/tokens"))["token"] for user in users}


async def play(
    stage: Stage, radiograph: Examination, others: tuple[Examination, ...], tell: Callable[[Step], None]
) -> Told:
    """Plays the examinations side by side, then the county's question about the radiograph.

    Raises StoryFailedError at the first step that did not happen; the others stop where they are.
    """
    started = time.perf_counter()
    tellings = {each.site.facility: Telling(each.title[0], tell) for each in (radiograph, *others)}
    try:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(_radiograph(stage, radiograph, tellings[radiograph.site.facility]))
            meanwhile = {
                each.site.facility: group.create_task(_examined(stage, each, tellings[each.site.facility]))
                for each in others
            }
    except* ConformanceError as failures:
        raise _first(failures) from failures
    returned, recognition = first.result()
    return Told(
        seconds=time.perf_counter() - started,
        steps=tuple(step for telling in tellings.values() for step in telling.steps),
        returned={
            radiograph.site.facility: returned,
            **{facility: task.result() for facility, task in meanwhile.items()},
        },
        recognition=recognition,
    )


async def examine(stage: Stage, examination: Examination) -> Returned:
    """One examination out and back, untold."""
    return await _examined(stage, examination, Telling(examination.title[0], lambda _: None))


async def open_findings(http: str, administrator: str) -> list[str]:
    """What the hub itself has to say when a step did not happen: its open findings, which name no patient."""
    async with HubHttp(http, administrator) as hub:
        answer = await hub.get("/api/findings", state="open")
        return [f"{each['code']} {each['location'] or ''} {each['text']}" for each in answer["findings"]]


async def send_out(stage: Stage, examination: Examination) -> None:
    """One more examination, untold, that waits at its centre for whoever tries the reading room."""
    async with AsyncExitStack() as stack:
        played = await _prepared(stage, examination, Telling(examination.title[0], lambda _: None), stack)
        await played.send_out()


async def _radiograph(stage: Stage, examination: Examination, telling: Telling) -> tuple[Returned, dict[str, Any]]:
    returned = await _examined(stage, examination, telling)
    return returned, await _recognised(stage, examination, returned, telling)


async def _examined(stage: Stage, examination: Examination, telling: Telling) -> Returned:
    async with AsyncExitStack() as stack:
        return await (await _prepared(stage, examination, telling, stack)).play()


async def _prepared(
    stage: Stage, examination: Examination, telling: Telling, stack: AsyncExitStack
) -> ExaminationPlayed:
    """Everyone at their place; the stack sends them home."""
    site, desk, sockets = examination.site, examination.desk, stage.sockets
    actors = Actors(
        connection=await stack.enter_async_context(MllpConnection(_HOST, sockets.mllp[site.channel])),
        inbox=stage.inboxes[site.endpoint],
        modality=Modality(
            site.ae_title,
            DicomAddress(_HOST, sockets.dicom_port, sockets.ae_title),
            station=site.name,
            charset=site.dicom_charset,
            uids=new_uid,
        ),
        reader=ReadingRoom(await stack.enter_async_context(HubHttp(sockets.http, stage.tokens[desk.reader]))),
        reviewer=ReadingRoom(await stack.enter_async_context(HubHttp(sockets.http, stage.tokens[desk.reviewer]))),
    )
    return ExaminationPlayed(examination, actors, telling, clock=stage.clock, ids=stage.ids)


async def _recognised(stage: Stage, examination: Examination, returned: Returned, telling: Telling) -> dict[str, Any]:
    """Step 9: the same person at the county, under another number; the HIS asks before it orders again."""
    number = f"C{stage.ids().hex[:8].upper()}"
    person = replace(examination.patient, local_id=number)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(MllpConnection(_HOST, stage.sockets.mllp[COUNTY_CHANNEL]))
        http = await stack.enter_async_context(HubHttp(stage.sockets.http, stage.tokens[COUNTY_DOCTOR]))
        county = CountyHis(http)
        with telling.step(9, "开单前查询互认", "asked before ordering again, recognised") as proof:
            await HisClient(COUNTY_HIS, connection, stage.ids).register(person, f"V{number}", stage.clock())
            patient = await until("the registration", lambda: county.patient(number), within_secs=SOON_SECS)
            answer = await county.recognisable(patient, examination.recognised)
            expect("a recognisable result exists", wanted=True, got=answer["recognisable"])
            result = _result_of(answer, returned.study_uid)
            expect("its verdict", wanted="allow", got=result["verdict"])
            expect("its facility", wanted=examination.site.facility, got=result["facility"]["code"])
            report = await county.report(result["report"])
            expect("the report opened", wanted=examination.conclusion, got=report.get("conclusion"))
            expect("its status", wanted="final", got=report.get("status"))
            picture = await county.first_image(returned.study_uid)
            expect("the image opened", wanted=returned.picture, got=picture)
            proof += [COUNTY_NAME, f"可互认 {result['facility']['name']} {result['procedure']}", _size(picture)]
    return result


def _result_of(answer: dict[str, Any], study_uid: str) -> dict[str, Any]:
    for result in answer["results"]:
        if study_uid in result["study_uids"]:
            return dict(result)
    raise UnexpectedAnswerError("the study that was read is not among the recognisable results")


def _size(picture: Picture) -> str:
    return f"{picture.kind} {picture.columns}×{picture.rows}"


def _first(failures: BaseExceptionGroup[ConformanceError]) -> ConformanceError:
    """Whichever came first says what went wrong; the rest only stopped because of it."""
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if not isinstance(failure, ConformanceError):
        raise failure
    return failure

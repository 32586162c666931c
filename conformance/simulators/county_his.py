"""What does the county hospital's HIS ask before it orders an examination again? Whether a result may be recognised."""

from __future__ import annotations

from typing import Any

from conformance.pictures import Picture, picture_of
from conformance.simulators.http import HubHttp


class CountyHis:
    """The side of the lead hospital's HIS that asks over HTTP, for the doctor who uses it."""

    def __init__(self, http: HubHttp) -> None:
        self._http = http

    async def patient(self, local_id: str) -> str | None:
        """The Patient resource of our own number; None while the registration is still on its way."""
        bundle = await self._http.get("/fhir/Patient", identifier=local_id)
        entries = bundle.get("entry") or []
        return str(entries[0]["resource"]["id"]) if entries else None

    async def recognisable(self, patient: str, code: str) -> dict[str, Any]:
        """What hutong says about earlier results for this examination of this patient (互认)."""
        answer: dict[str, Any] = await self._http.get("/api/recognition", patient=patient, code=code)
        return answer

    async def report(self, reference: str) -> dict[str, Any]:
        """The DiagnosticReport that an answer named."""
        report: dict[str, Any] = await self._http.get(f"/fhir/{reference}")
        return report

    async def first_image(self, study_uid: str) -> Picture:
        """The picture of the first instance of a study."""
        instances = await self._http.get(f"/dicomweb/studies/{study_uid}/instances")
        series, instance = (instances[0][tag]["Value"][0] for tag in ("0020000E", "00080018"))
        path = f"/dicomweb/studies/{study_uid}/series/{series}/instances/{instance}/rendered"
        _, content = await self._http.get_bytes(path, accept="image/png, image/svg+xml")
        return picture_of(content)

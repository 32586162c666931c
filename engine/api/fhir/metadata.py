"""capabilities: what this server does, claimed from the very table that searching works by."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from fastapi import Request
from starlette.responses import Response

from engine.api.fhir.exchange import MEDIA_TYPE, base, refuse_other_formats
from engine.api.services import Hub
from engine.store.reading import instant
from engine.store.search_parameters import PARAMETERS, Kind, Parameter

_PARAMETERS_OF_EVERY_TYPE = (
    ("_id", "token", "One or more logical ids"),
    ("_lastUpdated", "date", "With ge, gt, le or lt"),
)


async def metadata(request: Request, hub: Hub) -> Response:
    """http://hl7.org/fhir/R4/http.html#capabilities; answered to anybody, as it tells of nobody."""
    refuse_other_formats(request.query_params.get("_format"))
    statement = capability_statement(base(request), hub.config.name, hub.clock())
    return Response(json.dumps(statement, ensure_ascii=False), media_type=MEDIA_TYPE)


def capability_statement(address: str, community: str, at: datetime) -> dict[str, Any]:
    """http://hl7.org/fhir/R4/capabilitystatement.html"""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(at),
        "publisher": community,
        "kind": "instance",
        "software": {"name": "hutong"},
        "implementation": {"description": community, "url": address},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "documentation": (
                    f"Images: DICOMweb (PS3.18) at {address.removesuffix('/fhir')}/dicomweb, where OPTIONS / tells "
                    "what it offers: QIDO-RS, WADO-RS, STOW-RS and UPS-RS"
                ),
                "security": {
                    "cors": False,
                    "description": "A bearer token of a configured user in the Authorization header",
                },
                "resource": [_resource(resource_type) for resource_type in PARAMETERS],
            }
        ],
    }


def _resource(resource_type: str) -> dict[str, Any]:
    return {
        "type": resource_type,
        "interaction": [{"code": code} for code in ("read", "vread", "history-instance", "search-type")],
        "versioning": "versioned",
        "readHistory": True,
        "conditionalRead": "not-match",
        "searchParam": [
            *({"name": name, "type": kind, "documentation": text} for name, kind, text in _PARAMETERS_OF_EVERY_TYPE),
            *(_search_parameter(parameter) for parameter in PARAMETERS[resource_type]),
        ],
    }


def _search_parameter(parameter: Parameter) -> dict[str, str]:
    described = {"name": parameter.name, "type": parameter.kind.fhir_type}
    if parameter.target == "Patient":
        described["documentation"] = (
            "Finds what any Patient linked to the same golden Patient has; "
            f"also chained to an identifier: {parameter.name}.identifier"
        )
    elif parameter.kind is Kind.DATE:
        described["documentation"] = "Equality with a year, a month or a day"
    elif parameter.kind is Kind.NAME:
        described["documentation"] = "Beginnings of the characters, of their pinyin or of its initials"
    elif parameter.kind in (Kind.IDENTIFIER, Kind.CONCEPT):
        described["documentation"] = "value, system|value or |value"
    return described

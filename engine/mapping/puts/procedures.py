"""PR1: what was done, when, by whom, and as part of what."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from engine.identifiers import facility_system
from engine.mapping.functions.diagnoses import LONGEST_MINUTES, function_of_performer
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.allergies import write_entity_identifier
from engine.mapping.puts.codes import Written
from engine.mapping.puts.people import person_parts
from engine.mapping.puts.times import written_period, written_time
from engine.mapping.registry import Options, Put, puts

_A_MINUTE = 60


@puts("procedure_code")
def write_procedure_code(options: Options) -> Put:
    """The code and its modifier, which stand together as a further code."""
    written, system = Written(options, None), facility_system(options.facility, "code", "modified-procedure")

    def put(concept: Any, back: Back) -> dict[int, Field] | None:
        codings = concept.get("coding", ())
        modified = next((each.get("code", "") for each in codings if each.get("system") == system), "")
        found = written.of({**concept, "coding": [each for each in codings if each.get("system") != system]})
        return {0: found, 2: modified.partition(":")[2]} if found is not None else None

    return put


@puts("performed")
def write_performed(options: Options) -> Put:
    """When it was done, and of a period how many minutes it took."""

    def put(resource: Any, back: Back) -> dict[int, Field] | None:
        if "performedPeriod" not in resource:
            at = written_time(resource.get("performedDateTime"))
            return {0: at} if at else None
        start, _ = written_period(resource["performedPeriod"])
        return {0: start, 1: _minutes(resource["performedPeriod"])} if start else None

    return put


def _minutes(period: Any) -> str:
    """The minutes between two moments; empty where these are none, or are no whole minutes apart."""
    begins, ends = period.get("start", ""), period.get("end", "")
    if "T" not in begins or "T" not in ends:
        return ""
    minutes, rest = divmod((datetime.fromisoformat(ends) - datetime.fromisoformat(begins)).total_seconds(), _A_MINUTE)
    return str(int(minutes)) if not rest and 0 < minutes <= LONGEST_MINUTES else ""


@puts("performer")
def write_performer(options: Options) -> Put:
    said = function_of_performer(options.argument)

    def put(performer: Any, back: Back) -> Field | None:
        codes = {each.get("code") for each in performer.get("function", {}).get("coding", ())}
        meant = bool(said) and said[0] in codes if said else not codes
        return person_parts(performer.get("actor", {}), back) if meant else None

    return put


@puts("belongs_to")
def write_belongs_to(options: Options) -> Put:
    kind = options.argument or "Condition"
    number = write_entity_identifier(Options(options.facility, options.tables, kind.lower()))

    def put(reference: Any, back: Back) -> Field | None:
        known = back.resource(reference).get("identifier", ())
        for identifier in (*known, reference.get("identifier", {})):
            found: Field | None = number(identifier, back)
            if found is not None:
                return found
        return None

    return put

"""RF1 and PRD: a referral, who refers and who is referred to."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system, organization_id
from engine.mapping.functions.referrals import REFERRAL
from engine.mapping.lens.back import Back, Field, target
from engine.mapping.puts.addresses import write_address, write_telecom
from engine.mapping.puts.appointments import is_number_of, written_number_of
from engine.mapping.puts.codes import Written
from engine.mapping.puts.locations import place_parts
from engine.mapping.puts.names import name_parts
from engine.mapping.puts.patients import type_code
from engine.mapping.puts.people import write_organization
from engine.mapping.puts.times import written_period
from engine.mapping.registry import Options, Put, puts

_NEW = "REF^I12"
_ACTIVE, _PENDING = "active", "P"
_ROLES = {"requester": ("RP", "Referring provider", "HL70286"), "performer": ("RT", "Referred to provider", "HL70286")}
"""HL7 table 0286."""
_WITH_PERFORMERS = (2, 8)
"""The version that brought RF1-19 and RF1-20, which hold who is referred to without a PRD."""
_WITHOUT_A_ROLE = ("Practitioner", "Organization")
_ROLE, _NAME, _ADDRESS, _PLACE, _PHONES, _NUMBERS = range(6)
_BEGIN, _END, _EMPLOYER, _EMPLOYER_AT, _EMPLOYER_PHONES = range(6, 11)
"""Places of the fields that the functions of PRD take."""


@puts("referral_status")
def write_status(options: Options) -> Put:
    """What is asked for anew waits for an answer."""
    table = options.tables["referral_status"]

    def put(status: Any, back: Back) -> dict[int, Field] | None:
        local = _PENDING if status == _ACTIVE and back.message_type == _NEW else table.back(status)
        return {0: local} if local else None

    return put


@puts("referral_number")
def write_number(options: Options) -> Put:
    """An identifier that does not say whose it is, is that of the first sender: RF1-6 is required."""
    kind = options.argument or "PLAC"
    system = facility_system(options.facility, "referral")

    def put(identifier: Any, back: Back) -> Field | None:
        known = type_code(identifier) in ("PLAC", "FILL")
        if not known and kind == "FILL":
            return None
        return written_number_of(identifier, system) if is_number_of(identifier, kind, "", default="PLAC") else None

    return put


@puts("referral_kind")
def write_kind(options: Options) -> Put:
    """RF1-3 and RF1-5: what is of the other's table goes there, what is of neither into the first that is free."""
    written = Written(options, None)

    def put(value: Any, back: Back) -> Field | None:
        codings = value.get("coding", ())
        tables = {each.get("system", "").rpartition("/")[2] for each in codings} & {"v2-0281", "v2-0284"}
        if any(each.get("code") == REFERRAL["code"] and each.get("system") == REFERRAL["system"] for each in codings):
            return None
        return written.of(value) if not tables or f"v2-{options.argument}" in tables else None

    return put


class _Providers:
    """Writes a PRD for one facility."""

    def __init__(self, options: Options) -> None:
        plain = Options(options.facility, options.tables)
        self._address, self._telecom, self._code = write_address(plain), write_telecom(plain), Written(plain, None)
        self._organization = write_organization(plain)
        self._own = f"Organization/{organization_id(options.facility)}"
        self._roles = options.tables["referral_roles"]

    def put(self, reference: Any, part: str, back: Back) -> dict[int, Field] | None:
        """`part`: requester, performer; empty for anybody else, whose role must then say who it is."""
        kind = target(reference).partition("/")[0] or reference.get("type", "")
        if kind == "Organization":
            said = self._employer(reference, back)
        elif kind == "Practitioner":
            said = self._person(reference, back)
        elif kind == "PractitionerRole":
            role = back.resource(reference)
            said = {**self._person(role.get("practitioner", reference), back), **self._of_role(role, back)}
        else:
            said = self._person(reference, back) if reference.get("display") and part else {}
        if not said:
            return None
        stated = said.get(_ROLE, "")
        row = self._roles.find(stated[0]) if isinstance(stated, tuple) and isinstance(stated[0], str) else None
        if (row["code"] if row is not None else "") != part:
            if part not in _ROLES:
                return None
            said[_ROLE] = _ROLES[part]
        return {at: value for at, value in said.items() if value}

    def _person(self, reference: Any, back: Back) -> dict[int, Field]:
        person = back.resource(reference)
        name = next(iter(person.get("name", ())), None) or {"text": reference.get("display", "")}
        identifiers = person.get("identifier") or ([reference["identifier"]] if "identifier" in reference else [])
        numbers: list[Field] = [
            (each["value"], type_code(each), "", written_period(each.get("period"))[1])
            for each in identifiers
            if each.get("value")
        ]
        parts = name_parts(name)
        return {
            _NAME: parts if any(parts) else "",
            _ADDRESS: _each(self._address, person.get("address", ()), back),
            _PHONES: _each(self._telecom, person.get("telecom", ()), back),
            _NUMBERS: _repeated(numbers),
        }

    def _of_role(self, role: Any, back: Back) -> dict[int, Field]:
        codes = [found for each in role.get("code", ()) if (found := self._code.of(each)) is not None]
        places = [found for each in role.get("location", ()) if (found := place_parts(each, back)) is not None]
        start, end = written_period(role.get("period"))
        employer = role.get("organization", {})
        return {
            _ROLE: codes[0] if codes else "",
            _PLACE: places[0] if places else "",
            _BEGIN: start,
            _END: end,
            **({} if target(employer) == self._own else self._employer(employer, back)),
        }

    def _employer(self, reference: Any, back: Back) -> dict[int, Field]:
        found = self._organization(reference, back)
        if found is None:
            return {}
        seat = back.resource(reference)
        return {
            _EMPLOYER: found,
            _EMPLOYER_AT: _each(self._address, seat.get("address", ()), back),
            _EMPLOYER_PHONES: _each(self._telecom, seat.get("telecom", ()), back),
        }


def _each(write: Put, values: Any, back: Back) -> Field:
    return _repeated([found for each in values if (found := write(each, back)) is not None])


def _repeated(values: list[Any]) -> Field:
    return values if len(values) > 1 else values[0] if values else ""


@puts("referring_provider")
def write_referring(options: Options) -> Put:
    providers = _Providers(options)
    return lambda reference, back: providers.put(reference, "requester", back)


@puts("referred_to_provider")
def write_referred_to(options: Options) -> Put:
    """Who is referred to; a person or an organisation without a role stands in RF1 where HL7 has fields for them."""
    providers = _Providers(options)

    def put(reference: Any, back: Back) -> dict[int, Field] | None:
        named = target(reference)
        stands_in_rf1 = back.version >= _WITH_PERFORMERS and named.partition("/")[0] in _WITHOUT_A_ROLE
        if stands_in_rf1 or named in _said_by_roles_beside(reference, back):
            return None
        return providers.put(reference, "performer", back)

    return put


def _said_by_roles_beside(reference: Any, back: Back) -> set[str]:
    """Whom the roles say that stand in one list with a reference: the person and the employer of each."""
    for request in back.of_type("ServiceRequest"):
        performers = request.get("performer", ())
        if any(each is reference for each in performers):
            roles = [back.resource(each) for each in performers]
            return {target(role.get(part)) for role in roles for part in ("practitioner", "organization")} - {""}
    return set()


@puts("other_provider")
def write_other(options: Options) -> Put:
    providers = _Providers(options)

    def put(extension: Any, back: Back) -> dict[int, Field] | None:
        if extension.get("url") != options.argument:
            return None
        return providers.put(extension.get("valueReference", {}), "", back)

    return put

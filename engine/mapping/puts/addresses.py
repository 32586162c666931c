"""Addresses as XAD, telephone numbers and e-mail addresses as XTN."""

from __future__ import annotations

from typing import Any

from engine.codecs.er7 import Component
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.times import written_period
from engine.mapping.registry import Options, Put, puts

_ADDRESS_KIND = {"home": "H", "work": "B", "temp": "C", "old": "BA", "billing": "BI"}
_CONTACT_USE = {"home": "PRN", "work": "WPN", "mobile": "PRS"}
_EQUIPMENT = {"phone": "PH", "fax": "FX", "pager": "BP", "email": "Internet", "other": "MD"}


@puts("address")
def write_address(options: Options) -> Put:
    def put(address: Any, back: Back) -> Field | None:
        lines = [line for line in address.get("line", ()) if line]
        street: Component = lines[0] if lines else ""
        if len(lines) > 3:
            # More lines than XAD has components for stand as parts of the street (SAD has three).
            apart = min(len(lines) - 2, 3)
            street, lines = tuple(lines[:apart]), ["", *lines[apart:]]
        lines += [""] * (3 - len(lines))
        start, end = written_period(address.get("period"))
        kind = _ADDRESS_KIND.get(address.get("use", "")) or ("M" if address.get("type") == "postal" else "")
        place = [address.get(part, "") for part in ("city", "state", "postalCode", "country")]
        if not any((street, *place, address.get("district"))):
            return None
        return (street, lines[1], *place, kind, lines[2], address.get("district", ""), "", "", "", start, end)

    return put


@puts("telecom")
def write_telecom(options: Options) -> Put:
    def put(contact: Any, back: Back) -> Field | None:
        value, system = contact.get("value", ""), contact.get("system", "phone")
        if not value or system not in _EQUIPMENT:
            return None
        use = contact.get("use", "")
        equipment = "CP" if use == "mobile" and system == "phone" else _EQUIPMENT[system]
        start, end = written_period(contact.get("period"))
        rank = str(contact["rank"]) if "rank" in contact else ""
        number, mail = ("", value) if system == "email" else (value, "")
        kind = _CONTACT_USE["home"] if equipment == "CP" else _CONTACT_USE.get(use, "")
        return (number, kind, equipment, mail, "", "", "", "", "", "", "", "", start, end, "", "", "", rank)

    return put

"""Names of people as XPN, and as the parts of a name in XCN."""

from __future__ import annotations

from typing import Any

from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.times import written_period
from engine.mapping.registry import Options, Put, puts

_KIND = {
    "official": "L",
    "usual": "D",
    "maiden": "M",
    "nickname": "N",
    "anonymous": "S",
    "temp": "T",
    "old": "BAD",
}
"""FHIR name-use to HL7 table 0200."""
_REPRESENTATION = {"ABC": "A", "IDE": "I", "SYL": "P"}


def name_parts(name: Any) -> tuple[str, str, str, str, str, str]:
    """Family, given, further given names, suffix, prefix and degree; the whole name as family where it has no parts."""
    family, given = name.get("family", ""), [*name.get("given", ())]
    if not family and not given:
        family = name.get("text", "")
    suffixes = [*name.get("suffix", ()), "", ""]
    prefixes = " ".join(name.get("prefix", ()))
    return family, given[0] if given else "", " ".join(given[1:]), suffixes[0], prefixes, suffixes[1]


def name_kind(name: Any) -> str:
    return _KIND.get(name.get("use", ""), "")


@puts("person_name")
def write_name(options: Options) -> Put:
    def put(name: Any, back: Back) -> Field | None:
        parts = name_parts(name)
        if not any(parts):
            return None
        representation = next(
            (code for each in name.get("extension", ()) if (code := _REPRESENTATION.get(each.get("valueCode", "")))), ""
        )
        further = [*name.get("suffix", ()), "", "", ""][2]
        start, end = written_period(name.get("period"))
        return (*parts, name_kind(name), representation, "", "", "", start, end, further)

    return put

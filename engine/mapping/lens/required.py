"""What stands in a field that HL7 asks for and of which the resources say nothing? What the message says elsewhere.

A receiver refuses RXD without RXD-7, or RXA without RXA-4. Nothing is made up: a constant says that nothing is known
(999 of an amount), or how often systems send something that nobody counts.
"""

from __future__ import annotations

from engine.mapping.lens.back import Field
from engine.mapping.lens.structures import Structure
from engine.mapping.lens.tree import Fields, Node

_Place = tuple[str, int]

_CONSTANTS: dict[_Place, str] = {
    ("RXA", 1): "0",
    ("RXA", 2): "1",
    ("RXA", 6): "999",
    ("RXD", 1): "1",
    ("MFE", 1): "MUP",
}
"""HL7 v2.5.1 §4.14: counters of one administration or dispensing, an unknown amount. An entry as it is now."""
_SAID_ELSEWHERE: dict[_Place, tuple[_Place, ...]] = {
    ("RXA", 4): (("RXA", 3),),
    ("RXD", 7): (("RXE", 15), ("ORC", 2), ("ORC", 3)),
    ("FT1", 4): (("FT1", 5),),
    ("PRA", 1): (("STF", 1),),
}
"""Fields that say the same, the first that is there: what was given at a moment ended with it."""
_KEY_TYPES = {"MFN_M02": "CWE", "MFN_M05": "PL"}
"""MFE-5, by the structure of the message."""
_WORKING_DIAGNOSIS = "W"
"""HL7 table 0052, the kind that says least: a Condition does not say of which kind it was to the visit."""
_TQ1 = (2, 5)
"""Before the version that brought TQ1, RXE-1 is required; its first component counts what stands in RXE-3."""
_ONCE = "1"


def supply(root: Node, structure: Structure, version: tuple[int, ...]) -> None:
    """Puts what is required into the segments that are written."""
    for node in root.all_inside():
        for name, segments in node.segments.items():
            for fields in segments:
                _supply(name, fields, node)
                if name == "MFE" and structure.name in _KEY_TYPES:
                    fields.setdefault(5, _KEY_TYPES[structure.name])
                if name == "DG1" and structure.name.startswith("DFT"):
                    fields.setdefault(6, _WORKING_DIAGNOSIS)
                if name == "RXE" and version < _TQ1:
                    quantity = fields.setdefault(1, {})
                    if isinstance(quantity, dict):
                        quantity.setdefault(1, _ONCE)


def _supply(name: str, fields: Fields, node: Node) -> None:
    for (segment, number), text in _CONSTANTS.items():
        if segment == name:
            fields.setdefault(number, text)
    for (segment, number), sources in _SAID_ELSEWHERE.items():
        said = [found for source in sources if segment == name and (found := _said(*source, node)) is not None]
        if said:
            fields.setdefault(number, said[0])


def _said(segment: str, number: int, node: Node) -> Field | None:
    """What the nearest segment of a name says, from a group outwards."""
    for around in node.outwards():
        for fields in around.segments.get(segment, ()):
            value = fields.get(number)
            if value is not None and not isinstance(value, dict):
                return value
    return None

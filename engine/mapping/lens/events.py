"""What does a message say that HL7 asks for and that its event says, or the message as a whole, but no resource?

Only what is true of every such message: the event is the reason of an event that names none, an entry is new or
changed, and class N of a visit (HL7 table 0004: not applicable) says that nothing is told of one.
"""

from __future__ import annotations

from engine.mapping.lens.actions import action
from engine.mapping.lens.back import Field
from engine.mapping.lens.structures import Structure
from engine.mapping.lens.tree import Node
from engine.terminology import Tables

_EVENTS = ("appointment_events", "slot_events")
_DOCUMENT, _REFERRALS = "MDM_", ("REF_", "RRI_")
_CONSTANTS = {("TXA", 17): "DO", ("OBX", 11): "F"}
"""Of documents: written and no more, where nothing says how far it is; what it holds is its content."""
_NO_VISIT = "N"


def tell_of_event(root: Node, structure: Structure, message_type: str, tables: Tables) -> None:
    """Puts it into the segments that are written, and PV1 where the message cannot do without it."""
    event = message_type.partition("^")[2]
    for node in root.all_inside():
        if "PV1" in node.group.segments and "PV1" not in node.segments and _asks_for_visit(node, structure):
            node.segments["PV1"] = [{2: _NO_VISIT}]
        for fields in node.segments.get("RGS", ()):
            fields.setdefault(2, action(event))
        for fields in node.segments.get("SCH", ()):
            fields.setdefault(6, _reason(event, tables))
        if structure.name.startswith(_DOCUMENT):
            for (segment, number), text in _CONSTANTS.items():
                for fields in node.segments.get(segment, ()):
                    fields.setdefault(number, text)


def _reason(event: str, tables: Tables) -> Field:
    row = next((row for name in _EVENTS if (row := tables[name].find(event)) is not None), {})
    return (event, row.get("display", ""), "HL70003")


def _asks_for_visit(node: Node, structure: Structure) -> bool:
    """A document always does; a referral whose comments would otherwise be read as comments on its last result."""
    if structure.name.startswith(_DOCUMENT):
        return bool(node.segments)
    if not structure.name.startswith(_REFERRALS) or "NTE" not in node.segments:
        return False
    return any(
        deeper.segments and "NTE" in deeper.group.segments for inner in node.inner for deeper in inner.all_inside()
    )

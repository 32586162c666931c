"""What does one envelope say? Steps 6 and 7 of the walk: parsed, then mapped; nothing is read or written here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine import steps
from engine.codecs import er7_batch, hl7v2
from engine.codecs.er7_header import MAX_OWNERS
from engine.config import Community, Hl7Channel
from engine.envelope import Envelope, Kind
from engine.errors import ConfigurationError, HutongError, MappingError
from engine.finding import Finding, Severity
from engine.mapping import Act, Context, FieldSource, MappingSet
from engine.mapping.doubted import with_values
from engine.mapping.untimed import untimed
from engine.steps import PerformedStep
from engine.studies import Manifest, read_manifest, study_resources

Resource = dict[str, Any]

NO_MAPPING = "no-mapping"
OF_ANOTHER = "facility-of-another"
ORDER_ANSWER = "order-answer"
"""Stands for a mapping where a message is an order response: it makes nothing of its own, it changes the order."""
_ORDER_ANSWERS = ("ORR^", "ORL^", "ORG^", "ORI^")
_FOREIGN_SENDER = Finding(
    "facility-mismatch",
    "MSH-4 names another facility than the channel belongs to. If it is theirs, add it to msh4.",
    location="MSH-4",
)
"""The facility comes from the channel; MSH-4 only checks it."""


@dataclass(frozen=True, slots=True)
class Understood:
    """What an envelope says, as resources; or, with an ERROR among its findings, why that cannot be told.

    only_if_missing  references of resources it merely mentions: the record's own stay as they are
    manifest         the study manifest, where the envelope is one
    performed        the performed procedure step, where the envelope tells of one
    acts             what it does to records besides saying what they hold: joins, parts, moves
    by_reference     the resources once more, each under its reference (`Patient/…`)
    """

    envelope: Envelope
    resources: list[Resource] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    sources: list[FieldSource] = field(default_factory=list)
    only_if_missing: frozenset[str] = frozenset()
    mapping: str | None = None
    manifest: Manifest | None = None
    performed: PerformedStep | None = None
    acts: tuple[Act, ...] = ()
    by_reference: dict[str, Resource] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_reference = {f"{each['resourceType']}/{each['id']}": each for each in self.resources}
        object.__setattr__(self, "by_reference", by_reference)

    @property
    def holds(self) -> bool:
        return any(finding.severity is Severity.ERROR for finding in self.findings)

    @property
    def keeps_lanes(self) -> bool:
        """Whether later envelopes of the same patients must wait while this one is held.

        What nothing maps makes no record, so nothing behind it depends on it. That holds for a merge too: clinical
        records belong to the source Patient, and a merge changes links only. And what another member sent here says
        nothing of the patients who have these numbers at the channel's own facility.
        """
        return not any(finding.code in (NO_MAPPING, OF_ANOTHER) for finding in self.findings)


def understand(
    envelope: Envelope, community: Community, mappings: MappingSet, *, with_sources: bool = False
) -> Understood:
    """Parses and maps one envelope. What cannot be understood is an ERROR finding, never an exception."""
    try:
        if envelope.kind is Kind.DICOM_STUDY:
            manifest = read_manifest(envelope.payload)
            return Understood(
                envelope,
                resources=study_resources(manifest),
                findings=list(manifest.findings),
                mapping=manifest.mapping,
                manifest=manifest,
            )
        if envelope.kind is Kind.DICOM_STEP:
            step = steps.read(envelope.payload)
            return Understood(envelope, resources=[steps.procedure_of(step)], mapping=steps.MAPPING, performed=step)
        if envelope.kind is Kind.HL7V2_BATCH:
            # Its messages have envelopes of their own: what remains is whether the batch said of itself what is true.
            return Understood(envelope, findings=list(er7_batch.split(envelope.payload).findings))
        return _understand_message(envelope, community, mappings, with_sources)
    except HutongError as error:
        return Understood(envelope, findings=[held_by(error)])


def held_by(error: HutongError) -> Finding:
    """The finding that holds an envelope because of this error."""
    return Finding(error.code, error.message, Severity.ERROR, error.location, error.rule)


def _understand_message(
    envelope: Envelope, community: Community, mappings: MappingSet, with_sources: bool
) -> Understood:
    channel = community.channels.get(envelope.channel)
    charset = channel.charset if isinstance(channel, Hl7Channel) else None
    message = hl7v2.parse(envelope.payload, charset)
    if len(message.lines.names) > MAX_OWNERS:
        hl7v2.peek(envelope.payload, charset, envelope.channel)  # refuses one of too many patients: it has no lanes
    findings = [*message.findings]
    facility = community.facilities.get(envelope.facility)
    if facility is None:
        raise ConfigurationError(
            f"the facility {envelope.facility} is no longer configured: add it again",
            code="facility-unknown",
        )
    if facility.msh4 and (sender := message.header.value(4).strip()) not in facility.msh4:
        _refuse_message_of_another(sender, community)
        findings.append(_FOREIGN_SENDER)
    mapping = mappings.find(message.message_type, envelope.facility)
    if mapping is None and message.message_type.startswith(_ORDER_ANSWERS):
        return Understood(envelope, findings=findings, mapping=ORDER_ANSWER)
    if mapping is None:
        findings.append(_no_mapping(message.message_type))
        return Understood(envelope, findings=findings)
    context = Context(
        facility=facility.code,
        facility_name=facility.name,
        channel=envelope.channel,
        received_at=envelope.received_at,
        calls_itself=frozenset((facility.code, facility.name, *(facility.msh4 or (message.header.value(4).strip(),)))),
    )
    try:
        mapped = mapping.apply(message, context, with_sources=with_sources)
    except HutongError as error:
        findings.append(held_by(error))
        return Understood(envelope, findings=findings, mapping=mapping.label)
    return Understood(
        envelope,
        resources=mapped.resources,
        unmapped=mapped.unmapped,
        findings=[*findings, *with_values(message, mapped.findings), *untimed(message, mapped.resources)],
        sources=mapped.sources,
        only_if_missing=mapped.only_if_missing,
        mapping=mapping.label,
        acts=mapped.acts,
    )


def _refuse_message_of_another(sender: str, community: Community) -> None:
    """One facility per channel: taken as the channel's own, another member's patients would be mixed up with ours."""
    for other in community.facilities.values():
        if sender in other.msh4:
            raise MappingError(
                f"MSH-4 names {other.code}, which this channel does not belong to. Send it to a channel of theirs.",
                location="MSH-4",
                code=OF_ANOTHER,
            )


_NO_MESSAGES = {
    "SIU^S25": "No version of HL7 has SIU^S25: S25 is a query for schedules. Ask with SQM^S25, answered at once.",
}
"""Messages that systems send and that HL7 does not have, with what they have to send instead."""


def _no_mapping(message_type: str) -> Finding:
    told = _NO_MESSAGES.get(message_type, f"No mapping for {message_type or 'a message without a type'}.")
    return Finding(
        NO_MAPPING,
        f"{told} It is kept as it came; nothing is made of it.",
        Severity.ERROR,
        "MSH-9",
    )

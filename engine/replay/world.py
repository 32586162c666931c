"""Under which configuration is a message understood? A community and its mappings, and what they make of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.config import Community, Hl7Channel
from engine.envelope import Envelope
from engine.mapping import MappingSet
from engine.replay.owing import would_owe
from engine.understanding import Understood, understand


@dataclass(frozen=True, slots=True)
class World:
    """One configuration, and the mappings it goes with."""

    community: Community
    mappings: MappingSet

    def understand(self, envelope: Envelope, *, with_sources: bool = False) -> Understood:
        """As if the envelope came today, by its channel as this configuration has it."""
        channel = self.community.channels.get(envelope.channel)
        if isinstance(channel, Hl7Channel) and channel.facility != envelope.facility:
            envelope = replace(envelope, facility=channel.facility)
        return understand(envelope, self.community, self.mappings, with_sources=with_sources)

    def ruled_by(self, envelope: Envelope) -> tuple[object, ...]:
        """Everything that decides what it becomes: two worlds that say the same here make the same of it."""
        channel = self.community.channels.get(envelope.channel)
        facility = channel.facility if isinstance(channel, Hl7Channel) else envelope.facility
        mapping = self.mappings.find(envelope.message_type, facility)
        return channel, self.community.facilities.get(facility), mapping.label if mapping is not None else None

    def label(self, message_type: str, facility: str) -> str | None:
        """The mapping that such a message would go by."""
        mapping = self.mappings.find(message_type, facility)
        return mapping.label if mapping is not None else None

    @property
    def routing(self) -> tuple[object, ...]:
        """Everything that decides who is told of it."""
        return self.community.routes, self.community.centres, self.community.endpoints

    def owes(self, understood: Understood) -> list[str]:
        """The endpoints and centres that would be told of it: `endpoint county-his`."""
        return [owing.to for owing in would_owe(self.community, understood)]

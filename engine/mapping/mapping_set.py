"""Which mapping applies to a message of this type from this facility?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import engine.mapping.functions
import engine.mapping.puts  # noqa: F401  registers their way back
from engine.mapping.definition import Definition
from engine.mapping.loader import Loaded, load
from engine.mapping.mapping import Mapping
from engine.mapping.outbound import OUTBOUND_FILE, OutboundMapping
from engine.terminology import Tables


class MappingSet:
    """All mappings of a folder. Each is compiled for a facility when the first message of that facility asks for it."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._compiled: dict[tuple[str, str], Mapping] = {}

    @classmethod
    def load(cls, folder: Path, facilities: Sequence[str], own: Path | None = None) -> MappingSet:
        """Reads and checks a mappings folder, and over it the one that an installation has of its own.

        Raises InvalidConfiguration (a ConfigurationError) that lists every problem as file:line with the nearest name.
        """
        mappings = cls(load(folder, facilities, own))
        for facility in mappings._loaded.definitions:
            for definition in mappings._definitions(facility):
                for message_type in definition.messages:
                    mappings.find(message_type, facility)
        for path in sorted(folder.glob(f"hl7v2/*/{OUTBOUND_FILE}")):
            OutboundMapping.load(path, folder)
        return mappings

    def find(self, message_type: str, facility: str) -> Mapping | None:
        """The mapping of `ADT^A04` as this facility changes it; None when no mapping takes such messages."""
        known = self._compiled.get((message_type, facility))
        if known is None:
            known = self._make(message_type, facility)
            if known is not None:
                self._compiled[message_type, facility] = known
        return known

    def definitions(self) -> tuple[Definition, ...]:
        """The mappings as they are without any facility's changes."""
        return self._definitions("")

    def definitions_of_all(self) -> list[Definition]:
        """The mappings as they are, then as each facility that changes something has them."""
        return [
            definition for facility in sorted(self._loaded.definitions) for definition in self._definitions(facility)
        ]

    def of_facilities(self) -> list[tuple[str, Definition]]:
        """Each mapping that a facility changes, as it has it."""
        common = {definition.name: definition for definition in self.definitions()}
        return [
            (facility, definition)
            for facility in sorted(filter(None, self._loaded.definitions))
            for definition in self._definitions(facility)
            if definition != common[definition.name]
        ]

    def tables(self, facility: str) -> Tables:
        """The code tables as this facility has them."""
        return self._loaded.tables.get(facility, self._loaded.tables[""])

    def message_types(self) -> list[str]:
        return sorted(message for definition in self.definitions() for message in definition.messages)

    def _definitions(self, facility: str) -> tuple[Definition, ...]:
        return self._loaded.definitions.get(facility, self._loaded.definitions[""])

    def _make(self, message_type: str, facility: str) -> Mapping | None:
        for definition in self._definitions(facility):
            if message_type in definition.messages:
                same = self._compiled.get((definition.messages[0], facility))
                if same is not None:
                    return same
                return Mapping(definition, facility, self.tables(facility))
        return None

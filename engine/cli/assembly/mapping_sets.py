"""Which mappings does a community work with? Those of this distribution, and over them its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import Community
from engine.config.loader import COMMUNITY

if TYPE_CHECKING:
    from engine.mapping import MappingSet


def mappings_of(community: Community, own: Path | None = None) -> MappingSet:
    """The mappings of this distribution, and over them those of `own`: the configuration's folder `mappings`."""
    from engine.mapping import MappingSet

    return MappingSet.load(shipped_mappings(), list(community.facilities), own or own_mappings(community))


def shipped_mappings() -> Path:
    """The mappings of this distribution."""
    import mappings as mapping_files

    return Path(mapping_files.__file__).parent


def own_mappings(community: Community) -> Path | None:
    """The folder `mappings` of a configuration; None where it has none."""
    own = community.folder / "mappings"
    return own if (community.folder / COMMUNITY).is_file() and own.is_dir() else None

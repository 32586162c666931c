"""Which community do the measurements run in? One facility, one HL7 v2 channel."""

from __future__ import annotations

import tempfile
from pathlib import Path

from engine import config
from engine.config import Community

CHANNEL = "bench"
_COMMUNITY = "name: 测量\nfacilities:\n  bench: {name: 测量医院, level: county}\n"
_CHANNEL = "type: mllp\nfacility: bench\nport: 0\n"


def write(folder: Path) -> None:
    """The configuration files."""
    (folder / "channels").mkdir(parents=True, exist_ok=True)
    (folder / "community.yaml").write_text(_COMMUNITY, encoding="utf-8")
    (folder / "channels" / f"{CHANNEL}.yaml").write_text(_CHANNEL, encoding="utf-8")


def community() -> Community:
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as folder:
        write(Path(folder))
        return config.load(Path(folder))

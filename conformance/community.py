"""How is a community's configuration set up for a story? A copy with free ports that leads to our simulators."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def stage_community(source: Path, target: Path, *, http_port: int, endpoints: Mapping[str, str]) -> None:
    """Copies a configuration folder; every listener gets any free port, `endpoints` new addresses by name.

    http_port  0 for any free one
    """
    shutil.copytree(source, target)
    community = _read(target / "community.yaml")
    community.setdefault("http", {})["port"] = http_port
    _write(target / "community.yaml", community)
    for path in sorted((target / "channels").glob("*.yaml")):
        _write(path, {**_read(path), "port": 0})
    for name, address in endpoints.items():
        path = target / "endpoints" / f"{name}.yaml"
        _write(path, {**_read(path), "address": address})


def _read(path: Path) -> dict[str, Any]:
    loaded = YAML(typ="rt").load(path)
    return dict(loaded)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="rt").dump(dict(content), file)

"""Which community do these tests run? One township that sends, listeners on any free port."""

from __future__ import annotations

from collections.abc import Mapping

Community = dict[str, object]
"""Content of each configuration file, by its name."""


_MLLP = {"type": "mllp", "facility": "baishi", "port": 0, "charset": "utf-8"}


def community(
    channels: Mapping[str, Mapping[str, object]] | None = None,
    endpoints: Mapping[str, Mapping[str, object]] | None = None,
    routes: tuple[Mapping[str, object], ...] = (),
    gateways: int = 1,
) -> Community:
    """`channels` and `endpoints` by name, MLLP unless they say otherwise; every endpoint has a facility of its own.
    `gateways` processes receive DICOM."""
    chosen = dict(channels or {"his": {}})
    receiving = dict(endpoints or {})
    facilities = sorted({str(channel.get("facility", "baishi")) for channel in chosen.values()})
    files: Community = {
        "community": {
            "name": "白石乡",
            "http": {"host": "127.0.0.1", "port": 0},
            "gateway": {"processes": gateways},
            "facilities": {
                **{code: {"name": f"{code}卫生院", "level": "township"} for code in facilities},
                **{name: {"name": f"{name}医院", "level": "county"} for name in receiving},
            },
        },
        "routes": {"routes": list(routes)},
        "users": {"users": {"admin": {"display": "信息科", "facility": facilities[0], "roles": ["admin"]}}},
    }
    for name, channel in chosen.items():
        files[f"channels/{name}"] = channel if "type" in channel else {**_MLLP, **channel}
    for name, endpoint in receiving.items():
        files[f"endpoints/{name}"] = {"type": "mllp", "facility": name, **endpoint}
    return files

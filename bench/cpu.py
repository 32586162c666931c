"""How much processor time did processes use? On a shared machine it says more than the clock on the wall."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def used_secs(pid: int) -> float:
    """User and system time of one process, its children apart."""
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def used_secs_with_children(pid: int) -> float:
    """The same with the children that it has and those it had: a PostgreSQL and its backends."""
    fields = _fields(pid)
    ended = (int(fields[13]) + int(fields[14])) / _TICKS
    return used_secs(pid) + ended + sum(_used_if_alive(child) for child in _children(pid))


def _used_if_alive(pid: int) -> float:
    """0 for a child that ended since it was listed: the next reading finds it among those its parent had."""
    try:
        return used_secs(pid)
    except FileNotFoundError:
        return 0


def _children(pid: int) -> list[int]:
    threads = (_PROC / str(pid) / "task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]


def _fields(pid: int) -> list[str]:
    """Of proc(5) `stat`, those after the command, which is in brackets and may hold blanks."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()

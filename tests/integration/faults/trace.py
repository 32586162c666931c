"""What did the processes of a hub ask of the kernel, in which order? The output of strace, read.

strace is one process that sees every stop of every traced thread: whatever was caused by the end of a call is written
after it. So positions in its output are an order that causes keep, without any clock.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LONGEST_STRING = 262_144
CALLS = "pwrite64,pwritev,pwritev2,fsync,fdatasync,write,writev,sendto,sendmsg,rename"


def strace(output: Path) -> list[str | Path]:
    """The command in front of a hub. With a filter in the kernel only these calls are slowed down."""
    return [
        *("strace", "--follow-forks", "--seccomp-bpf", "-qqq", "-yy", "-s", str(LONGEST_STRING)),
        *("-e", f"trace={CALLS}", "-e", "signal=none", "-o", output),
    ]


@dataclass(frozen=True)
class Call:
    """One finished system call; `began` and `ended` are positions in the order of everything."""

    name: str
    arguments: str
    result: int
    began: int
    ended: int

    @property
    def on(self) -> str:
        """The file or socket of its first argument."""
        found = re.match(r"\d+<(.*?)>(?=, |$)", self.arguments)
        return found.group(1) if found else ""

    @cached_property
    def data(self) -> bytes:
        """What it wrote."""
        literals = re.findall(r'"((?:[^"\\]|\\.)*)"', self.arguments)
        return b"".join(codecs.escape_decode(literal.encode("ascii"))[0] for literal in literals)

    @property
    def offset(self) -> int:
        """Where pwrite64, pwritev or pwritev2, which has flags behind it, wrote to."""
        arguments = self.arguments.rpartition(", ")[0] if self.name == "pwritev2" else self.arguments
        return int(arguments.rpartition(", ")[2])


def read_calls(output: Path, *, start: int) -> list[Call]:
    """Every call that ended after byte `start` of the output."""
    with output.open("rb") as file:
        file.seek(start)
        return list(_calls(file.read().decode("ascii").splitlines()))


_WHOLE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
_ENDED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)")


def _calls(lines: list[str]) -> Iterator[Call]:
    under_way: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(lines):
        if whole := _WHOLE.match(line):
            yield Call(whole[2], whole[3], int(whole[4]), number, number)
        elif begun := _BEGUN.match(line):
            under_way[begun[1]] = (begun[3], number)
        elif (ended := _ENDED.match(line)) and ended[1] in under_way:
            arguments, began = under_way.pop(ended[1])
            yield Call(ended[2], (arguments + ended[3]).strip(), int(ended[4]), began, number)

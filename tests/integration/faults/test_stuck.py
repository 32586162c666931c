"""A process of a hub that is stuck ends with its supervisor all the same."""

from __future__ import annotations

import subprocess
import sys

STUCK = """
import asyncio
from engine.cli import process

async def spin(*_):
    while True:
        pass  # never gives the loop back

process.LAST_WORDS_SECS = 0.2
process.ROLES["spinning"] = spin
asyncio.run(process._run("spinning", None, None, ""))
"""


def test_a_process_whose_loop_never_turns_ends_soon_after_its_supervisor() -> None:
    child = subprocess.Popen([sys.executable, "-c", STUCK], stdin=subprocess.PIPE)
    try:
        assert child.stdin is not None
        child.stdin.close()  # as the kernel does for a supervisor that was killed
        assert child.wait(30) == 1
    finally:
        child.kill()
        child.wait()

"""Where is done what may kill the process that does it? In processes of its own, each within limits, one job at a time.

Libraries that decode and encode pictures are written in C, and some die of a broken picture. Whoever sent it loses that
picture and nobody anything else: the process that died is replaced, and of the others none has heard of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import pickle
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from pacs_gateway.discretion import keep_libraries_discreet

PROCESSES = 2
PRELOADED = ("pacs_gateway.rendering.drawing", "pacs_gateway.sending.transcoding")
"""Loaded once, by the process that the others are forked from: then one that died is replaced within milliseconds."""
_COPY_BYTES = 1024 * 1024
_BEGIN_SECS = 60.0
"""The first one loads the libraries, on a machine that may be busy."""
_END_SECS = 2.0
_FIRST_TO_DIE = 1000
"""When memory runs out, one of these is to be ended by the kernel, and not what receives objects (proc(5))."""
_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Died(Exception):
    """The job ended its process, or was ended with it. Says how, in words, and nothing of what it worked on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one job.

    processor_secs  of work
    wall_secs       until it is ended whether it works or waits
    memory_bytes    of address space, besides what the process had before
    """

    processor_secs: int
    wall_secs: float
    memory_bytes: int


class Apart:
    """Up to `processes` of them, which begin with the first job, and end with `close`, or with this process."""

    def __init__(self, processes: int = PROCESSES) -> None:
        self._turns = asyncio.Semaphore(processes)
        self._idle: list[_Process] = []
        self._jobs: set[asyncio.Task[Any]] = set()

    async def done(
        self,
        limits: Limits,
        work: Callable[..., _T],
        *arguments: object,
        opened: Callable[[], BinaryIO] | None = None,
    ) -> _T:
        """What `work` makes of its arguments; a file that is to be opened for it goes before those.

        `work` is a function of a module, and its arguments and what it makes can be pickled. Raises what it raises, and
        Died.
        """
        job = asyncio.create_task(self._do(limits, work, arguments, opened))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        job.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody may be left to hear it
        return cast(_T, await asyncio.shield(job))

    async def close(self) -> None:
        """Ends the processes, once what they are at is done."""
        await asyncio.gather(*self._jobs, return_exceptions=True)
        idle, self._idle = self._idle, []
        for process in idle:
            await asyncio.to_thread(process.end)

    async def _do(
        self,
        limits: Limits,
        work: Callable[..., object],
        arguments: tuple[object, ...],
        opened: Callable[[], BinaryIO] | None,
    ) -> object:
        async with self._turns:
            process = self._idle.pop() if self._idle else _Process()
            try:
                return await asyncio.to_thread(process.do, limits, work, arguments, opened)
            finally:
                self._idle.append(process)


class _Process:
    """One process; another one takes its place, before the next job, when it has died."""

    def __init__(self) -> None:
        self._process: ForkServerProcess | None = None
        self._line: Connection | None = None

    def do(
        self,
        limits: Limits,
        work: Callable[..., object],
        arguments: tuple[object, ...],
        opened: Callable[[], BinaryIO] | None,
    ) -> object:
        """Blocking."""
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(_on_disk(stack.enter_context(opened()))) if opened is not None else None
            line = self._begun((limits, work, arguments), file)
        try:
            if not line.poll(limits.wall_secs):
                self._kill()
                raise Died("it took too long")
            returned, answer = line.recv()
        except (EOFError, OSError):
            raise Died(self._how_it_died()) from None
        if returned:
            return answer
        raise answer

    def end(self) -> None:
        """Blocking. It ends by itself when nobody is at the other end of its line."""
        process, line, self._process, self._line = self._process, self._line, None, None
        if line is not None:
            line.close()
        if process is not None:
            process.join(_END_SECS)
            if process.is_alive():
                process.kill()
                process.join(_END_SECS)

    def _begun(self, job: tuple[object, ...], file: BinaryIO | None) -> Connection:
        """Gives it to a process that has begun with it: one that died before that died of something else."""
        for _ in range(2):
            process, line = self._running()
            assert process.pid is not None
            try:
                line.send((*job, file is not None))
                if file is not None:
                    send_handle(line, file.fileno(), process.pid)
                if line.poll(_BEGIN_SECS):
                    line.recv()
                    return line
            except (EOFError, BrokenPipeError, ConnectionResetError):
                pass
            self._kill()
        raise Died("its process ended before it began")

    def _running(self) -> tuple[ForkServerProcess, Connection]:
        if self._process is None or self._line is None or not self._process.is_alive():
            self.end()
            context = get_context("forkserver")
            context.set_forkserver_preload(list(PRELOADED))
            self._line, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,), daemon=True, name="apart")
            self._process.start()
            theirs.close()
        return self._process, self._line

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        self.end()

    def _how_it_died(self) -> str:
        assert self._process is not None
        self._process.join(_END_SECS)
        code = self._process.exitcode
        self.end()
        _log.warning("a process that works on pictures ended with %s, and is replaced", code)
        return "it took too long" if code == -signal.SIGXCPU else "a library died of it"


@contextmanager
def _on_disk(file: BinaryIO) -> Iterator[BinaryIO]:
    """As a file that another process can read: what lies in a bucket, or is put together, is copied first."""
    if isinstance(file, io.BufferedReader) and isinstance(file.raw, io.FileIO):
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy, _COPY_BYTES)
        copy.flush()
        yield cast(BinaryIO, copy)


# ── in the other process ─────────────────────────────────────────────────────────────────────────────────────────────


def _serve(line: Connection) -> None:
    """Until nobody is at the other end, however that came."""
    keep_libraries_discreet()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # what would be written is full of a patient's data
    with contextlib.suppress(OSError):  # some containers do not let anybody say so
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_DIE))
    while True:
        try:
            limits, work, arguments, has_file = line.recv()
        except EOFError:
            return
        with contextlib.ExitStack() as stack:
            if has_file:
                arguments = (stack.enter_context(_received(line)), *arguments)
            line.send(None)
            answer = _tried(limits, work, arguments)
        line.send(answer)
        if isinstance(answer[1], Died):
            return  # what is left of its memory may be in pieces


def _tried(limits: Limits, work: Callable[..., object], arguments: tuple[object, ...]) -> tuple[bool, object]:
    try:
        with _within(limits):
            return True, work(*arguments)
    except MemoryError:
        return False, Died("it needs too much memory")
    except Exception as error:  # noqa: BLE001 it is raised where the work was asked for
        return False, _portable(error)


def _portable(error: Exception) -> Exception:
    """Not every error of a library survives the way."""
    try:
        return cast(Exception, pickle.loads(pickle.dumps(error)))
    except Exception:  # noqa: BLE001 whatever its parts do while they are taken apart
        return Died(f"{type(error).__name__} while it was worked on")


@contextmanager
def _received(line: Connection) -> Iterator[BinaryIO]:
    """Opened anew, so that its place in the file is nobody else's."""
    descriptor = recv_handle(line)
    try:
        with open(f"/proc/self/fd/{descriptor}", "rb") as file:
            yield file
    finally:
        os.close(descriptor)


@contextmanager
def _within(limits: Limits) -> Iterator[None]:
    """The kernel ends who works for longer, and refuses more memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + limits.memory_bytes
    processor = int(time.process_time()) + 1 + limits.processor_secs
    with _soft(resource.RLIMIT_AS, memory), _soft(resource.RLIMIT_CPU, processor):
        yield


@contextmanager
def _soft(which: int, wanted: int) -> Iterator[None]:
    before, hard = resource.getrlimit(which)
    resource.setrlimit(which, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(which, (before, hard))

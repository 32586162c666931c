"""`hutong send`: how does a system answer these files, sent as HL7 v2 over MLLP or by DICOM C-STORE?"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.text import Text

from conformance.errors import ConformanceError, NoAnswerError
from conformance.hl7_files import FileBatch, FileMessage, answers_in, batch_in, messages_in, read_any
from conformance.simulators import hl7
from conformance.simulators.dicom_address import SUCCESS, DicomAddress
from conformance.simulators.mllp import MllpConnection
from engine.config.tls import endpoint_context
from engine.config.transport import EndpointTls
from engine.errors import ConfigurationError

_NO_CODE = "--"
_GIVE_UP_AFTER = 3
"""Messages in a row without an answer: the rest would only wait, too."""
_SILENCE_SECS = 1.0
"""How long a message that asks for no answer is given: some systems answer all the same."""
_DICOM_WARNINGS = range(0xB000, 0xC000)
"""PS3.7 annex C: stored, with a remark."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One answer as it is printed."""

    accepted: bool
    code: str
    what: str
    where: str
    remark: str = ""


def send(
    files: Annotated[
        list[Path], typer.Argument(exists=True, metavar="FILE...", help="Files, or folders of files, to send.")
    ],
    to: Annotated[
        str, typer.Option(metavar="URL", help="mllp://HOST:PORT, mllps://HOST:PORT or dicom://AETITLE@HOST:PORT")
    ],
    calling: Annotated[str, typer.Option(metavar="AETITLE", help="Our AE title, for DICOM.")] = "HUTONG_SEND",
    timeout_secs: Annotated[float, typer.Option(min=0.1, help="How long to wait for each answer.")] = 30,
    ca: Annotated[
        Path | None, typer.Option(help="PEM of who signed its certificate, for mllps. Else this machine's authorities.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM of our certificate, where mllps asks for one.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM of its key.")] = None,
) -> None:
    """Send files to a system and print its acknowledgments.

    A file of HL7 v2 may hold several messages, its lines ended by CR, LF or CRLF, or one in XML; a batch file (FHS,
    BHS) goes out as one block. What else lies in a folder is left out. Exit status 1 when anything was refused or not
    answered; a message that asks for no answer (MSH-15, MSH-16) may go without.
    """
    target = urlsplit(to)
    host, port = _host_and_port(to)
    if target.scheme != "mllps" and (ca or certificate or key):
        raise ConfigurationError(f"--to {to}: expected mllps://HOST:PORT, because a certificate is for TLS")
    if target.scheme in ("mllp", "mllps"):
        work = list(_messages(files))
        tls = _tls(ca, certificate, key) if target.scheme == "mllps" else None
        lines = _over_mllp(work, MllpConnection(host, port, timeout_secs=timeout_secs, tls=tls), f"{host}:{port}")
        total = len(work)
    elif target.scheme == "dicom" and target.username:
        address = DicomAddress(host, port, unquote(target.username))
        paths = [path for path, _ in _files(files)]
        lines = _over_dicom(paths, address, calling, timeout_secs)
        total = len(paths)
    else:
        raise ConfigurationError(f"--to {to}: expected mllp://, mllps:// or dicom://AETITLE@, then HOST:PORT")
    if not _print(lines, total):
        raise typer.Exit(1)


def _files(given: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Every file, and whether it was named itself or found in a folder."""
    for path in given:
        if path.is_dir():
            yield from ((each, False) for each in sorted(path.rglob("*")) if each.is_file())
        else:
            yield path, True


def _messages(given: Sequence[Path]) -> Iterator[tuple[Path, int, FileMessage | FileBatch | None]]:
    """The messages of every file, numbered in it; None stands for a named file without any, a refusal of its own."""
    for path, named in _files(given):
        content = path.read_bytes()
        if (batch := batch_in(content)) is not None:
            yield path, 1, batch
            continue
        messages = messages_in(content)
        if named and not messages:
            yield path, 1, None
        yield from ((path, number, message) for number, message in enumerate(messages, start=1))


def _host_and_port(to: str) -> tuple[str, int]:
    try:
        target = urlsplit(to)
        host, port = target.hostname, target.port
    except ValueError as error:
        raise ConfigurationError(f"--to {to}: expected a port from 1 to 65535") from error
    if not host or not port:
        raise ConfigurationError(f"--to {to}: expected a host and a port, such as mllp://127.0.0.1:2575")
    return host, port


def _tls(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    try:
        tls = EndpointTls(
            ca=str(ca.absolute()) if ca else None,
            certificate=str(certificate.absolute()) if certificate else None,
            key=str(key.absolute()) if key else None,
        )
    except ValueError:
        raise ConfigurationError("expected --certificate and --key together") from None
    return endpoint_context(tls, Path())


def _over_mllp(
    work: Sequence[tuple[Path, int, FileMessage | FileBatch | None]], connection: MllpConnection, address: str
) -> Iterator[_Line]:
    """One connection for all; a new one after an answer failed to come."""
    with asyncio.Runner() as runner:
        unanswered = 0
        for done, (path, number, message) in enumerate(work):
            if unanswered == _GIVE_UP_AFTER:
                yield _Line(False, _NO_CODE, f"{len(work) - done} messages not sent", f"{address} does not answer")
                break
            where = f"{path}#{number}" if number > 1 else str(path)
            if message is None:
                yield _Line(False, _NO_CODE, "no HL7 v2 message in it", where)
                continue
            if isinstance(message, FileBatch):
                lines = runner.run(_ask_batch(connection, message, where))
            else:
                lines = [runner.run(_ask(connection, message, where))]
            silent = all(line.code == _NO_CODE and not line.accepted for line in lines)
            unanswered = unanswered + 1 if silent else 0
            yield from lines
        runner.run(connection.close())


async def _ask(connection: MllpConnection, message: FileMessage, where: str) -> _Line:
    started = time.perf_counter()
    try:
        answer = read_any(
            await connection.ask(message.payload, timeout_secs=_SILENCE_SECS if message.may_go_unanswered else None)
        )
    except ConformanceError as error:
        if message.may_go_unanswered and isinstance(error, NoAnswerError):
            return _unasked(message, where)
        return _Line(False, _NO_CODE, _named(message), where, _why(error))
    return _answered(message, answer, where, f"{(time.perf_counter() - started) * 1000:.0f} ms")


def _why(error: ConformanceError) -> str:
    """Why nothing answered, and which option says whom to trust where that is the reason."""
    untrusted = isinstance(error.__cause__, ssl.SSLCertVerificationError)
    return f"{error}; --ca names the file of who signed its certificate" if untrusted else str(error)


async def _ask_batch(connection: MllpConnection, batch: FileBatch, where: str) -> list[_Line]:
    """A line for each message of the batch, in its order; one alone when the batch was refused as a whole."""
    what = f"batch of {len(batch.messages)}"
    try:
        answers = answers_in(await connection.ask(batch.payload))
    except ConformanceError as error:
        return [_Line(False, _NO_CODE, what, where, _why(error))]
    if len(answers) == 1 and not answers[0].value("MSA", 2) and not _is_positive(answers[0]):
        return [_Line(False, answers[0].value("MSA", 1) or _NO_CODE, what, where, _told(answers[0]))]
    lines = []
    remaining = list(answers)
    for number, message in enumerate(batch.messages, start=1):
        place = f"{where}#{number}"
        position = next(
            (at for at, answer in enumerate(remaining) if answer.value("MSA", 2) == message.control_id), None
        )
        if position is not None:
            lines.append(_answered(message, remaining.pop(position), place, "in the batch"))
        elif message.may_go_unanswered:
            lines.append(_unasked(message, place))
        else:
            lines.append(_Line(False, _NO_CODE, _named(message), place, "not answered in the batch of answers"))
    return lines or [_Line(True, _NO_CODE, what, where, "an empty batch, answered")]


def _answered(message: FileMessage, answer: hl7.Message, where: str, took: str) -> _Line:
    code, control_id = answer.value("MSA", 1), answer.value("MSA", 2)
    if control_id != message.control_id:
        remark = f"answers another message: {control_id or 'none'}"
        return _Line(False, code or _NO_CODE, _named(message), where, remark)
    if _is_positive(answer):
        number = answer.value("MSA", 4)
        return _Line(True, code, _named(message), where, f"{took} · expected number {number}" if number else took)
    return _Line(False, code or _NO_CODE, _named(message), where, _told(answer))


def _is_positive(answer: hl7.Message) -> bool:
    return answer.value("MSA", 1) in ("AA", "CA")


def _told(answer: hl7.Message) -> str:
    """ERR-8 and MSA-3 are what the other side tells its user; ERR-3 and ERR-2 are the code and the place."""
    told = [answer.value("MSA", 3), answer.value("ERR", 3), answer.value("ERR", 3, 2)]
    told += [answer.value("ERR", 2), answer.value("ERR", 8)]
    return " · ".join(dict.fromkeys(filter(None, told)))


def _unasked(message: FileMessage, where: str) -> _Line:
    accept, application = message.asks
    if "SU" in message.asks:
        return _Line(False, _NO_CODE, _named(message), where, "no answer, where success was to be answered")
    return _Line(True, _NO_CODE, _named(message), where, f"sent; asks for no answer ({accept}, {application})")


def _named(message: FileMessage) -> str:
    return f"{message.message_type or '?'} {message.control_id or '(no MSH-10)'}"


def _over_dicom(paths: Sequence[Path], address: DicomAddress, calling: str, timeout_secs: float) -> Iterator[_Line]:
    from conformance.simulators.dicom_sender import send_files

    answered = 0
    try:
        for answer in send_files(paths, address, calling, timeout_secs):
            answered += 1
            status = _NO_CODE if answer.status is None else f"{answer.status:04X}"
            accepted = answer.status == SUCCESS or (answer.status is not None and answer.status in _DICOM_WARNINGS)
            yield _Line(accepted, status, answer.sop_uid or "?", str(answer.path), answer.reason)
    except NoAnswerError as error:
        yield _Line(False, _NO_CODE, f"{len(paths) - answered} files not sent", str(error))


def _print(lines: Iterator[_Line], total: int) -> bool:
    """Prints each answer as it comes, a progress bar below on a terminal; True when all were accepted."""
    out = Console(soft_wrap=True, highlight=False)
    refused = accepted = 0
    bar = Progress(*Progress.get_default_columns()[:3], MofNCompleteColumn(), TimeRemainingColumn(), console=out)
    bar.disable = not out.is_terminal or total < 2
    if not total:
        raise ConfigurationError("there is nothing to send in what was named")
    with bar:
        task = bar.add_task("sending", total=total)
        for line in lines:
            accepted, refused = accepted + line.accepted, refused + (not line.accepted)
            bar.console.print(_shown(line))
            bar.advance(task)
    out.print(f"{accepted} accepted, {refused} not", style="green" if not refused else "red")
    return not refused


def _shown(line: _Line) -> Text:
    """Built of plain text, so that nothing in an answer is taken for markup."""
    remark = f"  {line.remark}" if line.remark else ""
    return Text.assemble(
        (f"{line.code:<4}", "green" if line.accepted else "bold red"), f" {line.what}  {line.where}{remark}"
    )

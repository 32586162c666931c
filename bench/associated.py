"""How fast do objects come in over associations that stand already? From one process, which costs them little.

Every storescu takes some 45 ms of processor time to start, more than it needs for its objects when there are few: with
50 of them at once it is they that are measured. Here messages are encoded beforehand and written as they are.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

from pydicom import Dataset, dcmwrite

from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.upper_layer import fragments
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from pacs_gateway.upper_layer.items import PresentationContextRQ, UserInformation
from pacs_gateway.upper_layer.pdus import HEADER, AAssociateRQ, AReleaseRQ, PduType

PDU_BYTES = 128 * 1024
MEGABYTE = 1_000_000
_CONTEXT = 1
_SUCCESS = bytes.fromhex("00000009 02000000 0000")
"""(0000,0900) Status, 2 bytes: 0000H."""


def message(dataset: Dataset, message_id: int) -> bytes:
    """A whole C-STORE request."""
    command = CommandSet.of(
        CommandField.C_STORE_RQ,
        {
            Element.AFFECTED_SOP_CLASS_UID: str(dataset.SOPClassUID),
            Element.AFFECTED_SOP_INSTANCE_UID: str(dataset.SOPInstanceUID),
            Element.MESSAGE_ID: message_id,
            Element.PRIORITY: 0,
        },
        has_data_set=True,
    )
    encoded = BytesIO()
    transfer_syntax = dataset.file_meta.TransferSyntaxUID
    del dataset.file_meta
    dcmwrite(
        encoded,
        dataset,
        implicit_vr=transfer_syntax.is_implicit_VR,
        little_endian=transfer_syntax.is_little_endian,
        enforce_file_format=False,
    )
    return b"".join(fragments.message(_CONTEXT, command, encoded.getvalue(), PDU_BYTES))


def sent(port: int, sop_class: str, transfer_syntax: str, messages: Sequence[bytes], associations: int) -> float:
    """MB/s from the first byte of the first object to the last answer.

    Raises RuntimeError when something is not answered 0000.
    """
    lines = [_associated(port, sop_class, transfer_syntax) for _ in range(associations)]

    def lane(number: int) -> None:
        for one in messages[number::associations]:
            lines[number].sendall(one)
            if _SUCCESS not in _pdu(lines[number], PduType.P_DATA_TF):
                raise RuntimeError("an object was not taken")

    begun = time.perf_counter()
    with ThreadPoolExecutor(associations) as threads:
        list(threads.map(lane, range(associations)))
    took = time.perf_counter() - begun
    for line in lines:
        line.sendall(AReleaseRQ().encode())
        _pdu(line, PduType.A_RELEASE_RP)
        line.close()
    return sum(map(len, messages)) / took / MEGABYTE


def _associated(port: int, sop_class: str, transfer_syntax: str) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    about = UserInformation(PDU_BYTES, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)
    context = PresentationContextRQ(_CONTEXT, sop_class, (transfer_syntax,))
    line.sendall(AAssociateRQ("HUTONG", "BENCH", (context,), about).encode())
    _pdu(line, PduType.A_ASSOCIATE_AC)
    return line


def _pdu(line: socket.socket, expected: PduType) -> bytes:
    kind, length = HEADER.unpack(_exactly(line, HEADER.size))
    if kind != expected:
        raise RuntimeError(f"the server answered with PDU type {kind:02X}H")
    return _exactly(line, length)


def _exactly(line: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = line.recv(count - len(data))
        if not piece:
            raise RuntimeError("the server has gone")
        data += piece
    return data

"""Who may associate, and which handler answers what? The DICOM listener of one channel.

pynetdicom runs each association in a thread of its own; what needs the database is asked of the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar, cast

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from engine.config import DicomChannel
from engine.errors import ConfigurationError, HutongError, StorageError
from engine.store.imaging import StepQuery
from engine.store.worklist import Step
from pacs_gateway import status
from pacs_gateway.discretion import keep_libraries_discreet
from pacs_gateway.services import offered, offered_to
from pacs_gateway.store import Sent, Store
from pacs_gateway.worklist import answer, query_of

MATCH_LIMIT = 1000
"""A worklist of more steps than this is refused with A700 rather than cut: the station should ask for a day."""
PDU_BYTES = 256 * 1024
"""pynetdicom's 16 KiB spends most of its time between PDUs."""
NETWORK_TIMEOUT_SECS = 60.0
QUERY_TIMEOUT_SECS = 30.0

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

# PS3.8 §9.3.4: rejected permanent, by the service user, calling AE title not recognised
_REJECTED, _BY_USER, _CALLING_NOT_RECOGNISED = 0x01, 0x01, 0x03

FindSteps = Callable[[str, str, StepQuery, int], Coroutine[Any, Any, list[Step]]]
"""facility, calling AE title, query, limit → steps."""


class Acceptor:
    """Listens from construction's `start` to `close`."""

    def __init__(self, channel: DicomChannel, store: Store, find_steps: FindSteps) -> None:
        self._channel = channel
        self._store = store
        self._find_steps = find_steps
        self._loop = asyncio.get_running_loop()
        self._entries = {entry.ae_title: entry for entry in channel.ae_entries}
        self._busy = _Busy()
        self._server: ThreadedAssociationServer | None = None

    @property
    def port(self) -> int:
        if self._server is None:
            raise ConfigurationError(f"channel {self._channel.name} does not listen")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Raises ConfigurationError when the address cannot be listened on."""
        keep_libraries_discreet()
        entity = AE(self._channel.ae_title)
        entity.maximum_associations = self._channel.max_associations
        entity.maximum_pdu_size = PDU_BYTES
        entity.network_timeout = NETWORK_TIMEOUT_SECS
        entity.supported_contexts = offered()
        try:
            server = entity.start_server(
                (self._channel.host, self._channel.port),
                block=False,
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, _answer_at_once),
                    (evt.EVT_REQUESTED, self._admit),
                    (evt.EVT_C_STORE, self._on_store),
                    (evt.EVT_C_FIND, self._on_find),
                ],
            )
        except OSError as error:
            address = f"{self._channel.host}:{self._channel.port}"
            raise ConfigurationError(
                f"channel {self._channel.name}: cannot listen on {address}: {error.strerror}; stop the program that "
                "has it, or choose another port: or host:"
            ) from error
        self._server = cast(ThreadedAssociationServer, server)
        if self._server.socket is not None:
            self._server.socket.listen(self._channel.max_associations)  # socketserver queues only five callers

    def close(self, grace_secs: float) -> None:
        """Stops listening, lets running requests be answered within the grace period, ends associations. Blocking."""
        if self._server is None:
            return
        self._server.shutdown()
        self._busy.wait_idle(grace_secs)
        self._server.ae.shutdown()
        self._server = None

    def _admit(self, event: Event) -> None:
        """Rejects a peer that no entry names, or that calls from another host than its entry says."""
        proposal = event.assoc.requestor.primitive
        assert proposal is not None, "an association is requested without a proposal"
        event.assoc.acceptor.supported_contexts = offered_to(proposal.presentation_context_definition_list)
        calling, host = _calling(event), str(event.assoc.requestor.address)
        if self._facility(calling, host) is None:
            _log.warning("channel %s: rejected AE title %r from %s: in no entry", self._channel.name, calling, host)
            event.assoc.acse.send_reject(_REJECTED, _BY_USER, _CALLING_NOT_RECOGNISED)
            event.assoc.kill()  # waits until the rejection is on the wire; pynetdicom would close the socket at once

    def _facility(self, calling: str, host: str) -> str | None:
        entry = self._entries.get(calling)
        if entry is None:
            return self._channel.default_facility
        if entry.address is not None and not _same_host(entry.address, host):
            return None
        return entry.facility

    def _on_store(self, event: Event) -> Dataset:
        request = cast(C_STORE, event.request)
        try:
            with self._busy:
                self._store.keep(
                    Sent(
                        sop_class=str(request.AffectedSOPClassUID or ""),
                        sop_uid=str(request.AffectedSOPInstanceUID or ""),
                        transfer_syntax=str(event.context.transfer_syntax),
                        data=event.encoded_dataset(include_meta=False),
                        facility=self._facility_of(event),
                        peer=_peer(event),
                    )
                )
        except HutongError as error:
            _log.warning("channel %s: refused an object of %s: %s", self._channel.name, _peer(event), error.message)
            return status.failure(error)
        return status.success()

    def _on_find(self, event: Event) -> Iterator[tuple[Dataset | int, Dataset | None]]:
        calling = _calling(event)
        try:
            with self._busy:
                identifier = event.identifier
                steps = self._ask(
                    self._find_steps(self._facility_of(event), calling, query_of(identifier), MATCH_LIMIT + 1)
                )
                if len(steps) > MATCH_LIMIT:
                    raise StorageError("more matches than one answer holds: ask for less", code="too-many-matches")
        except HutongError as error:
            _log.warning("channel %s: refused a query of %s: %s", self._channel.name, _peer(event), error.message)
            yield status.failure(error), None
            return
        for step in steps:
            if event.is_cancelled:
                yield status.CANCELLED, None
                return
            yield status.PENDING, answer(identifier, step, calling)

    def _facility_of(self, event: Event) -> str:
        facility = self._facility(_calling(event), str(event.assoc.requestor.address))
        assert facility is not None, "an association was admitted without a facility"
        return facility

    def _ask(self, work: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(QUERY_TIMEOUT_SECS)
        except TimeoutError:
            future.cancel()
            raise StorageError("the database did not answer in time") from None


class _Busy:
    """Counts requests being answered, so that closing can wait for them."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_idle(self, timeout_secs: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0, timeout_secs)


def _answer_at_once(event: Event) -> None:
    """A response is small: Nagle's algorithm would hold it back until the peer acknowledges what came before."""
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _calling(event: Event) -> str:
    primitive = event.assoc.requestor.primitive
    return str(primitive.calling_ae_title if primitive else "").strip(" \0")


def _peer(event: Event) -> str:
    return f"{_calling(event)}@{event.assoc.requestor.address}:{event.assoc.requestor.port}"


def _same_host(configured: str, host: str) -> bool:
    try:
        return host in {str(info[4][0]) for info in socket.getaddrinfo(configured, None)}
    except OSError:
        return False

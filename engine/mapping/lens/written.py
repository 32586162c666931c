"""What does the way back take and give? The letterhead of a message; its bytes, and what they do not say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engine.mapping.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class WriteContext:
    """What is known of a message before it is written.

    message_type   one of the types that the mapping takes: `ADT^A08`
    at             when it is sent: MSH-7
    facility_name  of the facility whose numbers and codes the resources use
    answers        control id of the message that this one answers: MSA of RRI
    """

    message_type: str
    control_id: str
    at: datetime
    endpoint: Endpoint
    facility_name: str = ""
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that the resources say and the message does not.

    resource  `Patient/17`
    path      `name[0].text`; empty where nothing of the resource is in the message
    why       names rules and fields, never values
    """

    resource: str
    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Written:
    """A message, and all that of its resources it does not say.

    The loss is no guess: the message was read again and compared, so what is not named here is in it. Ids and versions
    of resources are not compared; what the message says beyond the resources (a default) is no loss.
    """

    payload: bytes
    loss: tuple[Loss, ...]

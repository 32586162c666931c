"""How are an envelope's bytes shown to a person? Decoded as its message was, or said to be doubtful."""

from __future__ import annotations

from pydantic import BaseModel

from engine.codecs import hl7v2, text
from engine.config.community import Community, Hl7Channel
from engine.envelope import Kind
from engine.errors import ParseError
from engine.store.walks import StoredPayload


class PayloadText(BaseModel):
    """`charset` is the Python codec used; `doubtful` says that it was a guess. Lines end as they came."""

    text: str
    charset: str
    doubtful: bool


def decoded(stored: StoredPayload, config: Community) -> PayloadText:
    if stored.kind in (Kind.DICOM_STUDY, Kind.DICOM_STEP):
        return _shown(text.decode(stored.payload, "UTF-8"))
    channel = config.channels.get(stored.channel)
    configured = channel.charset if isinstance(channel, Hl7Channel) else None
    return _shown(text.decode(stored.payload, _declared(stored.payload, configured), configured))


def _declared(payload: bytes, configured: str | None) -> str | None:
    """What the payload says of itself; None where it says nothing."""
    try:
        return hl7v2.declared_charset(payload, configured) or None
    except ParseError:
        return None


def _shown(decoded_text: text.Decoded) -> PayloadText:
    return PayloadText(text=decoded_text.text, charset=decoded_text.charset, doubtful=decoded_text.doubtful)

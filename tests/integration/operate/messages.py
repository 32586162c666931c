"""Messages that are held, and what they are corrected to."""

from __future__ import annotations

from tests.integration.engine.messages import result


def without_code(payload: bytes) -> bytes:
    """A result whose OBX-3 is empty: the rule `result-id` holds it, and the later ones of its patient wait."""
    code = "GLU^葡萄糖^L||".encode("gb18030")
    assert code in payload
    return payload.replace(code, b"||")


def bad_result(patient: str = "BS0001", control_id: str = "BAD", placer: str = "L9") -> bytes:
    return without_code(result(placer, patient=patient, control_id=control_id))


def of_no_type(payload: bytes) -> bytes:
    """A type that nothing maps: it holds only itself."""
    return payload.replace(b"ADT^A04", b"ZZZ^Z01").replace(b"ADT^A08", b"ZZZ^Z01")

"""An Accept header says which representations a client takes; one that is none takes anything."""

from __future__ import annotations

import pytest

from pacs_gateway.dicomweb.accepting import OCTET_STREAM, accepted

DICOM = "application/dicom"
EXPLICIT, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
RELATED = f'multipart/related; type="{DICOM}"'


@pytest.mark.parametrize(
    ("header", "parts", "single"),
    [
        (None, True, False),
        ("", True, False),
        ("*/*", True, False),
        (RELATED, True, False),
        (f"multipart/related;type={DICOM}", True, False),
        (f"{RELATED}; transfer-syntax=*", True, False),
        (f"{RELATED}; transfer-syntax={JPEG}", True, False),
        (f"{RELATED}; transfer-syntax={EXPLICIT}", False, False),
        (f'{RELATED}; transfer-syntax="{EXPLICIT}", {RELATED}; transfer-syntax={JPEG}', True, False),
        ("multipart/related", True, False),
        (DICOM, False, True),
        (f"{DICOM}; transfer-syntax={EXPLICIT}", False, False),
        (f"{RELATED}; q=0.5, {DICOM}", True, True),
        (f"{DICOM};q=0.5, {RELATED}", True, False),
        (f"{DICOM};q=0, */*", True, False),
        ("multipart/related; type=image/jpeg", False, False),
        ("text/html", False, False),
        (";;;,,,", True, False),
    ],
)
def test_parts_and_single_objects_are_told_apart(header: str | None, parts: bool, single: bool) -> None:
    takes = accepted(header)
    assert (takes.parts(DICOM, JPEG), takes.single(DICOM, JPEG)) == (parts, single)


@pytest.mark.parametrize(
    ("header", "compressed", "pixels"),
    [
        (None, True, True),
        ("*/*", True, True),
        ("multipart/related", True, True),
        ('multipart/related; type="application/octet-stream"', False, True),
        ('multipart/related; type="application/octet-stream"; transfer-syntax=*', True, True),
        (f'multipart/related; type="application/octet-stream"; transfer-syntax={JPEG}', True, False),
        (f'multipart/related; type="application/octet-stream"; transfer-syntax={EXPLICIT}', False, True),
        ('multipart/related; type="application/*"', False, True),
    ],
)
def test_octets_of_no_named_transfer_syntax_are_pixels(header: str | None, compressed: bool, pixels: bool) -> None:
    takes = accepted(header)
    assert (takes.parts(OCTET_STREAM, JPEG), takes.parts(OCTET_STREAM, EXPLICIT)) == (compressed, pixels)


def test_the_client_prefers_before_we_do() -> None:
    ours = ("application/dicom+json", "application/json")
    assert accepted("*/*").best(ours) == "application/dicom+json"
    assert accepted("application/json, application/dicom+json;q=0.9").best(ours) == "application/json"
    assert accepted("application/dicom+xml").best(ours) is None


def test_a_header_without_end_is_read_only_so_far() -> None:
    assert not accepted("a/b; c=" * 100_000).parts(DICOM)

"""What `hutong dicom find` lists can be read and used again, however narrow the terminal is."""

from __future__ import annotations

import io

from rich.console import Console

from engine.cli.dicom import listed

COLUMNS = ("StudyDate", "PatientID", "PatientName", "ModalitiesInStudy", "StudyDescription", "StudyInstanceUID")
STUDY = "1.2.826.0.1.3680043.8.498.30714811091484547337472244444632441290"


def test_a_study_uid_is_there_to_its_last_digit_in_a_terminal_of_80_characters() -> None:
    said = io.StringIO()
    Console(file=said, width=80).print(listed(COLUMNS, [{"StudyInstanceUID": STUDY}]))
    _, _, uid = said.getvalue().partition("UID")
    assert "".join(uid.split()) == STUDY


def test_what_a_system_says_is_no_markup() -> None:
    said = io.StringIO()
    Console(file=said, width=80).print(listed(["PatientName"], [{"PatientName": "[b]x[/b]"}]))
    assert "[b]x[/b]" in said.getvalue()

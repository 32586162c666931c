"""Who keeps the DICOM library from logging patient data?

pydicom warns with the value of an element that breaks a rule. What hutong has to say of a bad value is a finding.
"""

from __future__ import annotations

import logging
import warnings

import pydicom.config


def keep_libraries_discreet() -> None:
    """For this process, and to be called before the first object is read."""
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    warnings.filterwarnings("ignore", module="pydicom")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

"""Who keeps the DICOM libraries from logging patient data?

pydicom warns with the value of an element that breaks a rule, pynetdicom logs identifiers of queries. What hutong
has to say of a bad value is a finding.
"""

from __future__ import annotations

import logging
import warnings

import pydicom.config
from pynetdicom import _config as pynetdicom_config


def keep_libraries_discreet() -> None:
    """For this process, and to be called before the first object is read."""
    pynetdicom_config.LOG_HANDLER_LEVEL = "none"
    pynetdicom_config.LOG_REQUEST_IDENTIFIERS = False
    pynetdicom_config.LOG_RESPONSE_IDENTIFIERS = False
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    warnings.filterwarnings("ignore", module=r"pydicom|pynetdicom")
    for name in ("pydicom", "pynetdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)

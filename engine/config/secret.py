"""Where does a secret stand? The configuration only refers to it: `env:NAME` or `file:PATH`, never the value."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from engine.errors import ConfigurationError

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:[^\0]+")
LIMIT_BYTES = 64 * 1024


def _reference(value: str) -> str:
    # What was written is not repeated: somebody may have written the secret itself.
    if not _REFERENCE.fullmatch(value):
        raise ValueError("expected a reference to a secret: env:NAME or file:PATH")
    return value


SecretReference = Annotated[str, AfterValidator(_reference)]


def secret(reference: str, folder: Path) -> str:
    """The secret itself; a relative file counts from the configuration folder.

    Raises ConfigurationError, which names the reference, when there is none.
    """
    kind, _, place = reference.partition(":")
    if kind == "env":
        value = os.environ.get(place, "")
    else:
        try:
            with (folder / place).open("rb") as file:
                value = file.read(LIMIT_BYTES).decode("utf-8").strip()
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"the secret {reference} cannot be read: {type(error).__name__}") from error
    if not value:
        raise ConfigurationError(f"the secret {reference} is empty or not there")
    return value

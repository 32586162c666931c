"""The browser side: where its files are."""

from __future__ import annotations

from pathlib import Path


def static_folder() -> Path:
    """The folder served at `/`. It holds what a browser loads, and nothing else."""
    return Path(__file__).parent / "page"

"""What does a process tell when it has begun?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OnReady = Callable[[dict[str, Any]], None]
"""Told once, when everything listens: the part of run.json that this process answers for."""

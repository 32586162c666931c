"""What did one test beside a mapping find?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test and what it found wrong; `failures` name places and may quote the test's synthetic data."""

    __test__ = False

    file: str
    line: int
    mapping: str
    name: str
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.failures

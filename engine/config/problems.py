"""What is wrong with a configuration, and where? Every problem at once, each as file, line, expected, nearest name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from engine.config.document import Place
from engine.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend.

    file   path relative to the configuration folder
    line   counted from 1; 0 when the whole file is meant
    where  the key it stands under, `ae_entries[2].facility`; empty for the whole file
    """

    file: str
    line: int
    where: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.where}: {self.text}" if self.where else f"{place}: {self.text}"


class InvalidConfiguration(ConfigurationError):
    """The configuration cannot be used; `problems` lists everything that was found in one reading."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.where)))
        first = self.problems[0]
        super().__init__(
            "\n".join(map(str, self.problems)), location=f"{first.file}:{first.line}" if first.line else first.file
        )


def nearest(word: str, valid: Iterable[str]) -> str:
    """`; did you mean 'baishi-his'?`, or the valid names when they are few, or nothing."""
    names = sorted(valid)
    close = get_close_matches(word, names, n=1, cutoff=0.6) or get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    if 0 < len(names) <= 12:
        return f"; known: {', '.join(names)}"
    return ""


def written(place: Place) -> str:
    """A place as a person writes it: `ae_entries[2].facility`, items counted from 1."""
    text = ""
    for step in place:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{step}" if text else step
    return text

"""How is a value taken out of a mapping file? What is wrong with it is said with file, line and nearest name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine.config.document import Document, Place, UnreadableDocument, Value, read
from engine.config.problems import Problem, nearest
from engine.mapping.definition import Line

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a file, and where it stands. Every method notes a problem instead of failing."""

    file: str
    document: Document
    place: Place
    value: Value
    problems: list[Problem]

    @classmethod
    def open(cls, path: Path, root: Path, problems: list[Problem]) -> Node | None:
        """The root of one file; None, with a problem noted, when it cannot be read."""
        file = path.relative_to(root).as_posix()
        try:
            document = read(path)
        except UnreadableDocument as error:
            problems.append(Problem(file, error.line, "", error.text))
            return None
        return cls(file, document, (), document.value, problems)

    @property
    def line(self) -> Line:
        return Line(self.file, self.document.line(self.place))

    def wrong(self, text: str) -> None:
        where = ".".join(str(part) for part in self.place if isinstance(part, str))
        self.problems.append(Problem(self.file, self.document.line(self.place), where, text))

    def has(self, key: str) -> bool:
        return isinstance(self.value, dict) and key in self.value

    def at(self, key: str) -> Node:
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return Node(self.file, self.document, (*self.place, key), value, self.problems)

    def names(self) -> list[str]:
        return list(self.value) if isinstance(self.value, dict) else []

    def allow(self, *keys: str) -> None:
        """Notes every key that is none of these."""
        if not isinstance(self.value, dict):
            self.wrong(f"expected keys and values: {', '.join(keys)}")
            return
        for key in self.value:
            if key not in keys:
                self.at(key).wrong(f"expected one of the known keys{nearest(key, keys)}")

    def require(self, *keys: str) -> bool:
        missing = [key for key in keys if not self.has(key)]
        if missing:
            self.wrong(f"expected also: {', '.join(missing)}")
        return not missing

    def text(self, key: str, default: str = "") -> str:
        node = self.at(key)
        if not self.has(key):
            return default
        if not isinstance(node.value, str):
            node.wrong("expected one value")
            return default
        return node.value

    def name(self, key: str, known: Iterable[str]) -> str | None:
        """The value of a key that must be one of these names; None where it is absent or wrong."""
        if not self.has(key):
            return None
        value = self.text(key)
        valid = list(known)
        if value not in valid:
            self.at(key).wrong(f"'{value}' is not known{nearest(value, valid)}")
            return None
        return value

    def yes(self, key: str) -> bool:
        value = self.text(key, "no")
        if value not in ("yes", "no"):
            self.at(key).wrong("expected yes or no")
        return value == "yes"

    def texts(self, key: str) -> tuple[str, ...]:
        """One value or a list of them."""
        node = self.at(key)
        if isinstance(node.value, str):
            return (node.value,)
        return tuple(item.value for item in self.items(key) if isinstance(item.value, str))

    def items(self, key: str) -> Iterator[Node]:
        node = self.at(key)
        if not self.has(key):
            return
        if not isinstance(node.value, list):
            node.wrong("expected a list")
            return
        for number, value in enumerate(node.value):
            yield Node(self.file, self.document, (*node.place, number), value, self.problems)

    def parsed(self, key: str, parse: Callable[[str], Parsed]) -> tuple[Parsed, ...]:
        """The texts of a key, each parsed; a ValueError is noted as a problem."""
        values: list[Parsed] = []
        for text in self.texts(key):
            try:
                values.append(parse(text))
            except ValueError as error:
                self.at(key).wrong(f"'{text}': {error}")
        return tuple(values)

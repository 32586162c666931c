"""Which functions may a mapping name? The closed set, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.terminology import Table, Tables

Value = Any
"""What a function gives: JSON values of FHIR, or None for nothing."""

Apply = Callable[..., Value]
"""Takes the raw texts of its fields (empty where absent) and, last, the Scope."""

Put = Callable[[Value, Any], Any]
"""The way back: takes what the function gave (for `elements`, the part of the resource that holds them) and, last,
the Back of `engine/mapping/lens`; gives what is to stand in the field (`Field` there), or, for a function of several
fields, the fields by their place in `from`. None where this value is none that the function gives."""

MakeId = Callable[..., str | None]
"""Takes the raw texts of its fields, the id of the resource it stands within (empty: none) and, last, the Scope."""

NOTHING_TO_IDENTIFY = ""
"""Of a function that makes ids: nothing is there that would need one. None: something is, and nothing says which."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a rule settles for its function when the mapping is loaded."""

    facility: str
    tables: Tables
    argument: str | None = None
    table: Table | None = None

    @property
    def needed_table(self) -> Table:
        """The table of a rule whose function was registered with `table=True`."""
        if self.table is None:
            raise TypeError("a rule without a table was let through")
        return self.table


@dataclass(frozen=True, slots=True)
class Function:
    """A named function of the mapping language.

    fields    how many fields it takes; None for any number
    make      builds it for one rule
    elements  True where it gives several elements of the resource at once, by name
    repeats   True where it takes the whole field with all its repetitions
    parts     element of what it gives → component of the field it came from (`family` → 1)
    table     True where its rule must name a table
    gathers   True where it takes every segment of the group: each field as the list of what stands in them, in order
    remember  True where the same text always gives the same, and the texts are few: codes, times, units; no names
    mentions  the same where a text names resources too: people of the facility, its places
    only      texts one of which its first field begins with, or there is no id: any other is not asked about
    enough    of a function that makes ids: how many of its first fields mostly make one, without the others; where
              these give None, it is asked with all of them; 0: it takes all of them at once
    says      one line for the people who write mappings
    put       builds the way back for one rule; None where the function only reads
    inverts   True where the way back looks into the rule's table by its codes
    """

    name: str
    fields: int | None
    make: Callable[[Options], Apply]
    elements: bool = False
    repeats: bool = False
    parts: Mapping[str, int] = field(default_factory=dict)
    table: bool = False
    gathers: bool = False
    remember: bool = False
    mentions: bool = False
    only: tuple[str, ...] = ()
    enough: int = 0
    says: str = ""
    put: Callable[[Options], Put] | None = None
    inverts: bool = False


FUNCTIONS: dict[str, Function] = {}
ID_FUNCTIONS: dict[str, Function] = {}


def function(
    fields: int | None = 1,
    *,
    elements: bool = False,
    repeats: bool = False,
    parts: Mapping[str, int] | None = None,
    table: bool = False,
    gathers: bool = False,
    remember: bool = False,
    mentions: bool = False,
) -> Callable[[Callable[[Options], Apply]], Callable[[Options], Apply]]:
    """Registers a maker of functions under its own name; the first line of its docstring is shown to analysts."""

    def register(make: Callable[[Options], Apply]) -> Callable[[Options], Apply]:
        name, says = make.__name__, (make.__doc__ or "").split("\n", 1)[0]
        FUNCTIONS[name] = Function(
            name,
            fields,
            make,
            elements,
            repeats,
            parts or {},
            table,
            gathers,
            remember,
            mentions,
            says=says,
        )
        return make

    return register


def puts(*names: str, inverts: bool = False) -> Callable[[Callable[[Options], Put]], Callable[[Options], Put]]:
    """Registers a maker of the way back for functions that are registered already."""

    def register(make: Callable[[Options], Put]) -> Callable[[Options], Put]:
        for name in names:
            FUNCTIONS[name] = replace(FUNCTIONS[name], put=make, inverts=inverts)
        return make

    return register


def makes_id(
    fields: int | None, *, repeats: bool = False, only: tuple[str, ...] = (), enough: int = 0
) -> Callable[[Callable[[Options], MakeId]], Callable[[Options], MakeId]]:
    """Registers a maker of functions that make ids."""

    def register(make: Callable[[Options], MakeId]) -> Callable[[Options], MakeId]:
        ID_FUNCTIONS[make.__name__] = Function(
            make.__name__,
            fields,
            make,
            repeats=repeats,
            only=only,
            enough=enough,
            says=(make.__doc__ or "").split("\n", 1)[0],
        )
        return make

    return register

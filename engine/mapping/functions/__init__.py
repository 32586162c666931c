"""The functions that mappings may name, a file for each family of datatypes. Importing this registers them."""

from engine.mapping.functions import (
    addresses,
    codes,
    ids,
    names,
    numbers,
    orders,
    patients,
    people,
    results,
    specimens,
    texts,
    times,
    visits,
)

__all__ = [
    "addresses",
    "codes",
    "ids",
    "names",
    "numbers",
    "orders",
    "patients",
    "people",
    "results",
    "specimens",
    "texts",
    "times",
    "visits",
]

"""The way back of the functions that mappings may name, a file for each family of datatypes; importing registers it.

Each stands for a function of `engine/mapping/functions` of the same name: what it writes, that function reads again.
"""

from engine.mapping.puts import (
    addresses,
    allergies,
    appointments,
    codes,
    comments,
    extensions,
    imaging,
    immunizations,
    locations,
    names,
    orders,
    participants_of_events,
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
    "allergies",
    "appointments",
    "codes",
    "comments",
    "extensions",
    "imaging",
    "immunizations",
    "locations",
    "names",
    "orders",
    "participants_of_events",
    "patients",
    "people",
    "results",
    "specimens",
    "texts",
    "times",
    "visits",
]

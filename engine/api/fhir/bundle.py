"""How are many resources handed over? Bundles built around their unparsed text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from engine.api.fhir.exchange import etag
from engine.store.reading import Text, instant

Link = tuple[str, str]
"""Relation and address."""


def searchset(base: str, links: Sequence[Link], found: Iterable[Text], total: int | None) -> str:
    """http://hl7.org/fhir/R4/bundle.html#searchset; `total` counts all pages and is left out when not counted."""
    entries = (
        f'{{"fullUrl":{json.dumps(f"{base}/{text.reference}")},"resource":{text.json},"search":{{"mode":"match"}}}}'
        for text in found
    )
    return _bundle("searchset", links, entries, total)


def history(base: str, links: Sequence[Link], versions: Iterable[Text], total: int) -> str:
    """http://hl7.org/fhir/R4/http.html#history: newest first, each with what made it."""
    return _bundle("history", links, (_history_entry(base, text) for text in versions), total)


def _history_entry(base: str, text: Text) -> str:
    request = json.dumps({"method": "PUT", "url": text.reference})
    response = json.dumps(
        {
            "status": "201" if text.version == 1 else "200",
            "etag": etag(text),
            "lastModified": instant(text.last_updated),
        }
    )
    address = json.dumps(f"{base}/{text.reference}")
    return f'{{"fullUrl":{address},"resource":{text.json},"request":{request},"response":{response}}}'


def _bundle(kind: str, links: Sequence[Link], entries: Iterable[str], total: int | None) -> str:
    parts = [f'"resourceType":"Bundle","type":"{kind}"']
    if total is not None:
        parts.append(f'"total":{total:d}')
    parts.append(f'"link":{json.dumps([{"relation": relation, "url": url} for relation, url in links])}')
    listed = ",".join(entries)
    if listed:  # FHIR has no empty arrays: http://hl7.org/fhir/R4/json.html#primitive
        parts.append(f'"entry":[{listed}]')
    return "{" + ",".join(parts) + "}"

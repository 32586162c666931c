"""By what will stored instances be found? The rows that imaging searches look at, written with the instances."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from engine.store.database import Connection
from engine.store.imaging_names import forms_of, tokens_of
from engine.store.instances import Instance

PATIENT_TAGS = ("patient_name", "patient_id", "issuer", "birth_date", "sex")
STUDY_TAGS = ("age", "accession", "study_id", "study_date", "study_time", "description", "referring")
SERIES_TAGS = (
    "modality",
    "series_description",
    "series_number",
    "body_part",
    "institution",
    "station_name",
    "manufacturer",
    "model",
)
SERIES_TOLD = ("performed_date", "performed_time")
INSTANCE_TAGS = ("number", "frames", "acquired_at")
INSTANCE_TOLD = ("rows", "columns", "bits_allocated")
"""What is told where it is known, and not searched: it is not in the rows of what was stored by earlier versions."""

_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"(\d{2}(?:\d{2}){0,2})(?:\.\d*)?")
_NUMBER = re.compile(r"[+-]?\d{1,9}")


@dataclass(slots=True)
class _Series:
    instances: int = 0
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Study:
    tags: dict[str, str] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    modalities: dict[str, None] = field(default_factory=dict)


async def add(connection: Connection, instances: Sequence[Instance]) -> None:
    """Adds instances that were stored just now, none of them a conflict, in the caller's transaction.

    Its caller has locked the rows of their studies. Where instances disagree, what the first one said stays; a study is
    found by every name and modality that one of them gives.
    """
    studies: dict[tuple[str, str], _Study] = {}
    series: dict[tuple[str, str, str], _Series] = {}
    for instance in instances:
        tags = json.loads(instance.tags)
        study = studies.setdefault((instance.study_uid, instance.facility), _Study())
        _add_first(study.tags, tags, PATIENT_TAGS + STUDY_TAGS)
        if name := tags.get("patient_name"):
            study.names[name] = None
        if instance.modality:
            study.modalities[instance.modality] = None
        one = series.setdefault((instance.study_uid, instance.facility, instance.series_uid), _Series())
        one.instances += 1
        _add_first(one.tags, tags, SERIES_TAGS + SERIES_TOLD)
    await _write_series(connection, series)
    await _write_studies(connection, studies)


def date_of(text: str) -> str:
    """YYYYMMDD, or nothing; also where it is written with points, as ACR-NEMA did."""
    text = text.strip().replace(".", "")
    return text if _DATE.fullmatch(text) else ""


def time_of(text: str) -> str:
    """HHMMSS, or nothing."""
    match = _TIME.fullmatch(text.strip().replace(":", ""))
    return match.group(1).ljust(6, "0") if match else ""


def _add_first(found: dict[str, str], tags: dict[str, str], names: Sequence[str]) -> None:
    for name in names:
        if name not in found and (value := tags.get(name)):
            found[name] = value


async def _write_series(connection: Connection, series: dict[tuple[str, str, str], _Series]) -> None:
    await connection.execute(
        """
        insert into series (study_uid, facility, uid, modality, number, instances, tags)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::int[], $7::jsonb[])
        on conflict (study_uid, facility, uid) do update
        set instances = series.instances + excluded.instances,
            modality = case when series.modality = '' then excluded.modality else series.modality end,
            number = coalesce(series.number, excluded.number),
            tags = excluded.tags || series.tags
        """,
        [study_uid for study_uid, _, _ in series],
        [facility for _, facility, _ in series],
        [uid for _, _, uid in series],
        [one.tags.get("modality", "") for one in series.values()],
        [_number(one.tags.get("series_number", "")) for one in series.values()],
        [one.instances for one in series.values()],
        [json.dumps(one.tags, ensure_ascii=False) for one in series.values()],
    )


async def _write_studies(connection: Connection, studies: dict[tuple[str, str], _Study]) -> None:
    """Adds rows, or to rows, where there is something to add: of most studies everything is there after its first."""
    await connection.execute(
        """
        insert into study_search as known
            (uid, facility, patient_id, accession, study_date, study_time, modalities, names, tokens, tags)
        select uid, facility, coalesce(tags ->> 'patient_id', ''), coalesce(tags ->> 'accession', ''),
               study_date, study_time, array(select jsonb_array_elements_text(modalities)),
               array(select jsonb_array_elements_text(names)), array(select jsonb_array_elements_text(tokens)), tags
        from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[], $7::jsonb[], $8::jsonb[])
             as one (uid, facility, study_date, study_time, modalities, names, tokens, tags)
        on conflict (uid, facility) do update
        set patient_id = coalesce(nullif(known.patient_id, ''), excluded.patient_id),
            accession = coalesce(nullif(known.accession, ''), excluded.accession),
            study_date = coalesce(nullif(known.study_date, ''), excluded.study_date),
            study_time = coalesce(nullif(known.study_time, ''), excluded.study_time),
            modalities = array(select distinct unnest(known.modalities || excluded.modalities)),
            names = array(select distinct unnest(known.names || excluded.names)),
            tokens = array(select distinct unnest(known.tokens || excluded.tokens)),
            tags = excluded.tags || known.tags
        where not (known.tokens @> excluded.tokens
                   and known.tags ?& array(select jsonb_object_keys(excluded.tags)))
        """,
        [uid for uid, _ in studies],
        [facility for _, facility in studies],
        [date_of(study.tags.get("study_date", "")) for study in studies.values()],
        [time_of(study.tags.get("study_time", "")) for study in studies.values()],
        [_list(study.modalities) for study in studies.values()],
        [_list(form for name in study.names for form in forms_of(name)) for study in studies.values()],
        [_list(_tokens(study)) for study in studies.values()],
        [json.dumps(study.tags, ensure_ascii=False) for study in studies.values()],
    )


def _tokens(study: _Study) -> Iterator[str]:
    for name in study.names:
        yield from tokens_of(name)
    for modality in study.modalities:
        yield f"@{modality}"


def _list(texts: Iterable[str]) -> str:
    """Arrays of different lengths cannot be parameters of one statement; lists in JSON can."""
    return json.dumps(list(dict.fromkeys(texts)), ensure_ascii=False)


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text.strip()) else None

"""What does a study consist of? One JSON manifest of everything stored of it, the same for the same instances."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from engine.finding import Finding, Severity
from engine.store.imaging import Instance
from pacs_gateway.charset import REPAIRED, SPECIFIC_CHARACTER_SET

_STUDY_TAGS = (
    "issuer",
    "patient_name",
    "birth_date",
    "sex",
    "age",
    "study_id",
    "study_date",
    "study_time",
    "description",
    "body_part",
    "referring",
    "institution",
    "station_name",
    "manufacturer",
    "model",
    "acquired_at",
)
_IDENTITY = {"patient_id": "(0010,0020)", "accession": "(0008,0050)"}
_BIRTH_DATE = "(0010,0030)"
_NAME = "(0010,0010)"
_NOT_OF_A_NAME = re.compile(r"[\s^]")


def manifest(
    study_uid: str, facility: str, instances: Sequence[Instance], late: Sequence[str] = (), statements: int = 0
) -> bytes:
    """The manifest of a study from all its stored instances of one facility.

    `late` are those that came after the study had counted as whole.

    Attributes of the study are those that most instances give. Where instances disagree on the patient identifier or
    the accession number it is empty, so that the study is linked to nobody's order, and a finding says so. Content that
    came later under a used SOP Instance UID is not listed, only found: a study of nothing else has no series, and
    neither has one that people found to be part of another.

    statements  how often something was said of the study by people, or by a rejection note
    """
    kept = [instance for instance in instances if not instance.conflict]
    tags = [json.loads(instance.tags) for instance in kept]
    charsets = [json.loads(instance.charset) for instance in kept]
    study: dict[str, Any] = {
        "study_uid": study_uid,
        "facility": facility,
        **({"statements": statements} if statements else {}),
        **{name: _agreed(tag.get(name, "") for tag in tags) for name in _IDENTITY},
        **{name: _most_common(tag.get(name, "") for tag in tags) for name in _STUDY_TAGS},
        "modalities": sorted({instance.modality for instance in kept if instance.modality}),
        "ae_title": _most_common(ae_title(instance.peer) for instance in kept),
        **({"charset": _charset(charsets)} if charsets else {}),
        "findings": [_as_json(finding) for finding in _findings(instances, tags, charsets)],
        "series": _series(kept, tags),
        **({"late": list(late)} if late else {}),
    }
    return json.dumps(study, ensure_ascii=False, separators=(",", ":")).encode()


def patient_ids(instances: Sequence[Instance]) -> list[str]:
    """Every Patient ID that some instance of the study gives: the lanes of its envelope."""
    found = (json.loads(instance.tags).get("patient_id", "") for instance in instances)
    return sorted({patient_id for patient_id in found if patient_id})


def ae_title(peer: str) -> str:
    """The calling AE title of a peer written as `AET@host:port`."""
    return peer.partition("@")[0]


def _series(kept: Sequence[Instance], tags: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    grouped: dict[str, list[tuple[Instance, dict[str, str]]]] = {}
    for instance, tag in zip(kept, tags, strict=True):
        grouped.setdefault(instance.series_uid, []).append((instance, tag))
    return [
        {
            "uid": uid,
            "modality": members[0][0].modality,
            "number": _integer(members[0][1].get("series_number", "")),
            "description": members[0][1].get("series_description", ""),
            "body_part": members[0][1].get("body_part", ""),
            "instances": [
                {
                    "sop_uid": instance.sop_uid,
                    "sop_class": instance.sop_class,
                    "number": instance.number,
                    "sha256": instance.sha256.hex(),
                    "bytes": instance.bytes,
                    "transfer_syntax": instance.transfer_syntax,
                    "frames": _integer(tag.get("frames", "")) or 1,
                }
                for instance, tag in members
            ],
        }
        for uid, members in sorted(grouped.items())
    ]


def _charset(charsets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The charset of the instance whose text is least sure, as it was sent."""
    least_sure = max(charsets, key=lambda charset: (bool(charset["doubtful"]), len(charset["findings"])))
    as_sent = {**least_sure, **least_sure.get("sent", {})}
    return {name: as_sent[name] for name in ("declared", "used", "doubtful")}


def _findings(
    instances: Sequence[Instance], tags: Sequence[dict[str, str]], charsets: Sequence[dict[str, Any]]
) -> Iterable[Finding]:
    for name, tag in _IDENTITY.items():
        if len({value for t in tags if (value := t.get(name, ""))}) > 1:
            yield Finding(f"{name.replace('_', '-')}-differs", "instances of one study disagree", location=tag)
    if len({born for t in tags if (born := t.get("birth_date", ""))}) > 1:
        yield Finding("birth-date-differs", "instances of one study disagree", location=_BIRTH_DATE)
    if _are_of_several(t.get("patient_name", "") for t in tags):
        yield Finding("patient-name-differs", "instances of one study disagree", location=_NAME)
    texts = {code: text for charset in charsets for code, text in charset["findings"].items()}
    for code, text in sorted(texts.items()):
        severity = Severity.INFORMATION if code == REPAIRED else Severity.WARNING
        yield Finding(code, text, severity, SPECIFIC_CHARACTER_SET)
    for instance in instances:
        if instance.conflict:
            yield Finding(
                "sop-uid-conflict",
                "a used SOP Instance UID came again with other content; it is stored apart",
                location=f"Instance/{instance.sop_uid}",
            )


def _are_of_several(names: Iterable[str]) -> bool:
    """Whether two of these names are written in one script and differ: a name in pinyin is that of one in Chinese."""
    known: list[set[str]] = []
    for name in set(names):
        groups = {letters for group in name.split("=") if (letters := _NOT_OF_A_NAME.sub("", group).casefold())}
        same = [one for one in known if not one.isdisjoint(groups)]
        known = [one for one in known if one.isdisjoint(groups)] + [groups.union(*same)]
    latin = [one for one in known if any(group.isascii() for group in one)]
    written = [one for one in known if any(not group.isascii() for group in one)]
    return len(latin) > 1 or len(written) > 1


def _as_json(finding: Finding) -> dict[str, str | None]:
    return {
        "code": finding.code,
        "text": finding.text,
        "location": finding.location,
        "severity": str(finding.severity),
    }


def _agreed(values: Iterable[str]) -> str:
    """The value all instances give, those apart that give none; empty when they disagree."""
    found = {value for value in values if value}
    return found.pop() if len(found) == 1 else ""


def _most_common(values: Iterable[str]) -> str:
    """The value most instances give, of equals the first; empty ones do not count."""
    counted = Counter(value for value in values if value)
    return counted.most_common(1)[0][0] if counted else ""


def _integer(value: str) -> int | None:
    try:
        return int(value)
    except ValueError:
        return None

"""`hutong reconcile`: studies of which it is not clear whose they are, and a person's word about each."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.markup import escape

from engine.cli.acting import AsJson, Data, Reason, Url, console, told_at
from engine.cli.hub import Hub, find_hub
from engine.errors import ConfigurationError, NotFoundError

reconcile = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Decide whose a stored study is. Every decision says who, when and why, and can be undone.",
)

Study = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID, as the list shows it.")]
Facility = Annotated[
    str | None, typer.Option("--facility", metavar="CODE", help="Whose, where several have a study under this UID.")
]
Series = Annotated[list[str] | None, typer.Option("--series", metavar="UID", help="A whole series; may be repeated.")]
Instance = Annotated[list[str] | None, typer.Option("--instance", metavar="UID", help="One object; may be repeated.")]
Accession = Annotated[str, typer.Option("--accession", metavar="NUMBER", help="Of the order that it is of.")]
Patient = Annotated[str, typer.Option("--patient", metavar="NUMBER", help="Of the patient, where there is no order.")]
Issuer = Annotated[str, typer.Option("--issuer", metavar="NAME", help="Who gave out the patient's number.")]


@reconcile.command("list")
def list_cases(
    data: Data = None,
    url: Url = None,
    kind: Annotated[str | None, typer.Option("--kind", metavar="CODE", help="Only with this reason.")] = None,
    facility: Facility = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many are listed.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Lists the studies that wait for a decision, the newest first, and why."""
    page = find_hub(data, url).get("/api/reconcile", kind=kind, facility=facility, limit=str(limit))
    if as_json:
        typer.echo(json.dumps({key: page[key] for key in page if key != "next"}, ensure_ascii=False, indent=2))
        return
    for line in page["cases"]:
        console.print(escape(f"{line['study_uid']}  {line['facility']}  {told_at(line['opened_at'])}"))
        who = " ".join(filter(None, (line["patient_name"], line["patient_id"], line["accession"])))
        what = f"{'/'.join(line['modalities'])} {line['study_date']} {line['objects']} objects"
        console.print(escape(f"  {', '.join(line['kinds'])}: {who or 'nobody named'}, {what}"))
    told = ", ".join(f"{number} {kind}" for kind, number in page["by_kind"].items())
    console.print(escape(f"waiting: {told or 'nothing'}"))


@reconcile.command()
def show(study: Study, data: Data = None, url: Url = None, facility: Facility = None, as_json: AsJson = False) -> None:
    """Shows what the objects say beside what the order says, who may be meant, and what was decided before."""
    _, told = _looked_at(find_hub(data, url), study, facility)
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    console.print(escape(f"{told['study_uid']}  {told['facility']}  waits for: {', '.join(told['kinds']) or 'nobody'}"))
    for line in told["differences"]:
        mark = " " if line["agrees"] else "!"
        console.print(
            escape(f"{mark} {line['attribute']}: {' | '.join(line['objects']) or '-'}  order: {line['order'] or '-'}")
        )
    for order in told["proposals"]:
        who = f"{order['patient_name']} {order['patient_id']} {order['modality']} {told_at(order['scheduled_at'])}"
        _say(f"? order {order['accession']}: {who} (same {', '.join(order['agrees'])})")
    for series in told["series"]:
        _say(
            f"  series {series['uid']} {series['modality']} {series['count']} objects: {'; '.join(series['patients'])}"
        )
    for other in told["apart"]:
        why = "waits for a decision" if other["waits"] else other["why"]
        _say(f"  apart {other['sop_uid']} {other['sha256']}: {why}")
    for one in told["decisions"]:
        undone = f", undone by {one['undone_by']}: {one['undone_why']}" if one["undone_at"] else ""
        _say(f"  {one['number']} {one['kind']} {told_at(one['at'])} {one['actor']}: {one['reason']}{undone}")


@reconcile.command()
def assign(
    study: Study,
    reason: Reason,
    data: Data = None,
    url: Url = None,
    facility: Facility = None,
    accession: Accession = "",
    patient: Patient = "",
    issuer: Issuer = "",
) -> None:
    """The study is of this order, or of this patient: its objects say so from now on."""
    whose = {"accession": accession, "patient_id": patient, "issuer": issuer}
    _decide(find_hub(data, url), "assign", study, facility, reason, **whose)


@reconcile.command()
def split(
    study: Study,
    reason: Reason,
    data: Data = None,
    url: Url = None,
    facility: Facility = None,
    series: Series = None,
    instance: Instance = None,
    accession: Accession = "",
    patient: Patient = "",
    issuer: Issuer = "",
) -> None:
    """Some series or objects are a study of their own, and of this order or patient where one is said."""
    whose = {"accession": accession, "patient_id": patient, "issuer": issuer}
    _decide(
        find_hub(data, url), "split", study, facility, reason, series=series or [], instances=instance or [], **whose
    )


@reconcile.command()
def merge(
    study: Study,
    into: Annotated[str, typer.Option("--into", metavar="STUDY", help="The study that it is part of.")],
    reason: Reason,
    data: Data = None,
    url: Url = None,
    facility: Facility = None,
) -> None:
    """Everything of the study is part of another one."""
    _decide(find_hub(data, url), "merge", study, facility, reason, into=into)


@reconcile.command()
def content(
    study: Study,
    choice: Annotated[str, typer.Argument(metavar="keep|replace|leave", help="What the other content is.")],
    reason: Reason,
    instance: Annotated[str, typer.Option("--instance", metavar="UID", help="Under which SOP Instance UID it came.")],
    data: Data = None,
    url: Url = None,
    facility: Facility = None,
    sha256: Annotated[str | None, typer.Option("--sha256", metavar="HEX", help="Which, where several wait.")] = None,
) -> None:
    """Another content under a used SOP Instance UID: an instance of its own, the right one, or not to be served."""
    hub = find_hub(data, url)
    _, told = _looked_at(hub, study, facility)
    waiting = [one["sha256"] for one in told["apart"] if one["waits"] and one["sop_uid"] == instance]
    if sha256 is None and len(waiting) != 1:
        raise NotFoundError(f"{len(waiting)} other contents wait under this UID: say which with --sha256")
    chosen = {"choice": choice, "sop_uid": instance, "sha256": sha256 or waiting[0]}
    _decide(hub, "content", study, facility, reason, **chosen)


@reconcile.command()
def reject(
    study: Study,
    title: Annotated[
        str, typer.Argument(metavar="quality|patient-safety|worklist|retention", help="Why (IHE RAD, IOCM).")
    ],
    reason: Reason,
    data: Data = None,
    url: Url = None,
    facility: Facility = None,
    series: Series = None,
    instance: Instance = None,
) -> None:
    """The study, or parts of it, are found and fetched no more; whoever got them is sent a rejection note."""
    chosen: dict[str, Any] = {"title": title, "series": series or [], "instances": instance or []}
    _decide(find_hub(data, url), "reject", study, facility, reason, **chosen)


@reconcile.command()
def undo(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Of the decision, as `show` tells it.")],
    reason: Reason,
    data: Data = None,
    url: Url = None,
) -> None:
    """Takes a decision back; what was decided of the same studies afterwards has to be undone first."""
    find_hub(data, url).post(f"/api/reconcile/decisions/{number}/undo", reason=reason)
    console.print(f"undone: {number}")


def _say(line: str) -> None:
    console.print(escape(line))


def _decide(hub: Hub, action: str, study: str, facility: str | None, reason: str, **body: Any) -> None:
    """On the study as it is now; refused where it changes in between."""
    path, told = _looked_at(hub, study, facility)
    done = hub.post(f"{path}/{action}", revision=told["revision"], reason=reason, **body)
    console.print(f"decided: {done['number']} (to undo it: hutong reconcile undo {done['number']} --reason TEXT)")


def _looked_at(hub: Hub, study: str, facility: str | None) -> tuple[str, dict[str, Any]]:
    """Raises NotFoundError, and ConfigurationError where several facilities have a study under this UID."""
    if not study.replace(".", "").replace("-", "").replace("_", "").isalnum():
        raise ConfigurationError("expected a Study Instance UID, as the list shows it")
    if facility is None:
        facilities: list[str] = hub.get(f"/api/reconcile/find/{study}")
        if not facilities:
            raise NotFoundError("there is no such study")
        if len(facilities) > 1:
            raise ConfigurationError(f"several have a study under this UID: say --facility {' or '.join(facilities)}")
        facility = facilities[0]
    path = f"/api/reconcile/studies/{facility}/{study}"
    told: dict[str, Any] = hub.get(path)
    return path, told

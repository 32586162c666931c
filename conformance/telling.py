"""How is a story shown to the one who watches? Chinese first, a line per step with its time, the proof below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.cells import set_cell_size
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from conformance.examination import Returned
from conformance.plan import Examination
from conformance.reports import observed_texts
from conformance.steps import Step, StoryFailedError
from conformance.story import Told

_THREAD_CELLS = 16
_TITLE_CELLS = 60
_ROLE_CELLS = 40


class Narrator:
    """Writes to one console. Whatever came over a socket is shown as plain text, never as markup."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.steps: list[Step] = []

    def opening(self, hub: str, seconds: float) -> None:
        self._console.print(Text(f"hutong 互通 已就绪 · 阅片室 reading room {hub}/ · {seconds:.1f} s", style="bold"))
        self._console.print()

    def step(self, step: Step) -> None:
        self.steps.append(step)
        title = f"{step.number}. {step.chinese} · {step.english}"
        line = Text.assemble(
            ("✓ ", "green"),
            (set_cell_size(step.thread, _THREAD_CELLS), "cyan"),
            set_cell_size(title, _TITLE_CELLS),
            (f"{step.seconds:6.2f} s", "bold"),
        )
        # One line each, however narrow the window: what is cut off here cannot be searched for.
        self._console.print(line, soft_wrap=True)
        proof = Text("  " + " " * _THREAD_CELLS + "   " + " · ".join(step.proof), style="dim")
        self._console.print(proof, soft_wrap=True)

    def failed(self, failure: Exception, log: Path, findings: Sequence[str]) -> None:
        self._console.print(Text.assemble(("✗ ", "bold red"), str(failure)), soft_wrap=True)
        for finding in findings:
            self._console.print(Text(f"  finding: {finding}"), soft_wrap=True)
        if isinstance(failure, StoryFailedError) and log.exists():
            last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
            self._console.print(Text("\n".join(["", "hub:", *last]), style="dim"), soft_wrap=True)

    def stopped(self) -> None:
        self._console.print(Text("已停止 · stopped before the end", style="bold red"))

    def closing(self, told: Told, examinations: Mapping[str, Examination]) -> None:
        self._console.print()
        for facility, returned in told.returned.items():
            self._console.print(_report(returned, examinations[facility]))
        text = f"全部完成 · every step happened · {len(told.steps)} steps · {told.seconds:.1f} s"
        self._console.print(Text(text, style="bold green"))

    def invitation(self, hub: str, people: Mapping[str, tuple[str, str]], kept: Path | None) -> None:
        """Where to look now: people is user → (what they do, token); kept is where the data stays."""
        self._console.print()
        self._console.print(
            Text.assemble("阅片室 reading room: ", (hub + "/", "bold"), " · 用令牌登录 sign in with a token:")
        )
        for user, (role, token) in people.items():
            line = Text.assemble((f"  {user:<6}", "bold"), set_cell_size(role, _ROLE_CELLS), token)
            self._console.print(line, soft_wrap=True)
        self._console.print("一份小腿DR正等您阅片 · a radiograph of a lower leg waits to be read")
        ends = f"数据保留在 data stay in {kept}" if kept else "演示数据随之删除 its data are removed"
        self._console.print(Text(f"按 Ctrl-C 结束 Ctrl-C ends the demo · {ends}", style="dim"), soft_wrap=True)


def _report(returned: Returned, examination: Examination) -> Panel:
    """The report as the health centre's HIS received it."""
    oru = returned.oru
    title = f"{examination.site.name} HIS ← ORU^R01 {oru.value('MSH', 10)}"
    facts = f"{oru.value('PID', 5)}  {oru.value('PID', 3)}  检查号 {oru.value('OBR', 18)}  {oru.value('OBR', 4, 2)}"
    texts = [Text(text) for text in observed_texts(oru) if text in (examination.observed, examination.conclusion)]
    charset = Text(f"{len(oru.payload)} bytes, {oru.value('MSH', 18)}", style="dim")
    return Panel(Group(Text(facts, style="bold"), *texts, charset), title=Text(title), title_align="left")

"""Under continuous integration a test over real processes that fails is run once more, and what needed it is told.

A race that shows once in thousands of runs is a defect to mend, and no reason to hold back everything else: the first
failure is printed whole. More than `ALLOWED` of them is no accident: the run fails.
"""

from __future__ import annotations

import os

import pytest

LOOKED_AT = ("acceptance", "integration")
"""Folders of tests in which processes, sockets and clocks take part. A unit test has no excuse."""
ALLOWED = 2

_unsteady: list[pytest.TestReport] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("CI") != "true":
        return
    looked_at = [config.rootpath / "tests" / folder for folder in LOOKED_AT]
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in looked_at):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if str(report.outcome) == "rerun":  # the fourth outcome, which pytest-rerunfailures adds
        _unsteady.append(report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in _unsteady:
        terminalreporter.section(f"unsteady: {report.nodeid} ({report.when})")
        terminalreporter.write_line(report.longreprtext)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if len(_unsteady) > ALLOWED:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

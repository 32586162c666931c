"""Under CI a test over real processes may fail once and is told of; a unit test, or many at once, may not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]

ONCE = """
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range({many}))
def test_it(number):
    looked = Path(__file__).with_name(f"looked{{number}}")
    if not looked.exists():
        looked.touch()
        assert "the port" == "was ours"
"""
ALWAYS = "def test_it(): assert 'the result' == 'was lost'\n"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    def run_file(source: str, folder: str = "integration", ci: str = "true") -> pytest.RunResult:
        monkeypatch.setenv("CI", ci)
        tests = pytester.mkdir("tests") / folder
        tests.mkdir()
        (tests / "test_file.py").write_text(source, encoding="utf-8")
        return pytester.runpytest_subprocess("-p", "tests.plugins.second_look")

    return run_file


def test_what_fails_once_passes_and_its_failure_is_printed(run: Run) -> None:
    result = run(ONCE.format(many=2))
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*unsteady: tests/integration/test_file.py::test_it?0?*", "*was ours*", "*2 rerun*"])


def test_many_at_once_are_no_accident(run: Run) -> None:
    assert run(ONCE.format(many=3)).ret == pytest.ExitCode.TESTS_FAILED


def test_what_fails_twice_fails(run: Run) -> None:
    assert run(ALWAYS).ret == pytest.ExitCode.TESTS_FAILED


def test_a_unit_test_has_no_second_look(run: Run) -> None:
    assert run(ONCE.format(many=1), folder="unit").ret == pytest.ExitCode.TESTS_FAILED


def test_at_home_nothing_is_looked_at_twice(run: Run) -> None:
    assert run(ONCE.format(many=1), ci="").ret == pytest.ExitCode.TESTS_FAILED

"""Under continuous integration a skipped test fails the run; at home it does not; an expected failure is no skip."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.ExitCode | int]

SKIPS = {
    "a skip inside": "import pytest\ndef test_it():\n    pytest.skip('no such program')\n",
    "a skip mark": "import pytest\n@pytest.mark.skip(reason='later')\ndef test_it(): pass\n",
    "a skip in a fixture": (
        "import pytest\n@pytest.fixture\ndef it(): pytest.skip('no')\ndef test_it(it): pass\n"
    ),
    "a whole file": "import pytest\npytest.skip('not here', allow_module_level=True)\n",
    "a missing import": "import pytest\npytest.importorskip('no_such_package')\n",
}  # fmt: skip


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    def run_file(source: str, ci: str) -> pytest.ExitCode | int:
        monkeypatch.setenv("CI", ci)
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess("-p", "tests.plugins.no_skips", "-p", "no:asyncio").ret

    return run_file


@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS)
def test_a_skip_fails_under_continuous_integration(run: Run, source: str) -> None:
    assert run(source, ci="true") in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)


def test_a_skip_passes_at_home(run: Run) -> None:
    assert run(SKIPS["a skip inside"], ci="") == pytest.ExitCode.OK


def test_an_expected_failure_is_no_skip(run: Run) -> None:
    expected = "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_it(): assert False\n"
    assert run(expected, ci="true") == pytest.ExitCode.OK

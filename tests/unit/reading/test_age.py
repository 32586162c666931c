"""How is an age said at the bedside?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.api.reading.lines import age, person_name

# 00:30 on 10 March in China, still 9 March in UTC.
AT = datetime(2026, 3, 9, 16, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("born", "said"),
    [
        ("2026-03-10", "0天"),
        ("2026-02-11", "27天"),
        ("2026-02-10", "1月"),
        ("2024-03-11", "23月"),
        ("2024-03-10", "2岁"),
        ("1981-03-10", "45岁"),
        ("1981-03-11", "44岁"),
        ("1981", "约45岁"),
        ("1981-03", "约45岁"),
        ("2026-03-11", ""),
        ("2031", ""),
        (None, ""),
        ("", ""),
    ],
)
def test_an_age_is_counted_in_the_days_of_china(born: str | None, said: str) -> None:
    assert age(born, AT) == said


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ([{"text": "张三"}], "张三"),
        ([{"family": "张", "given": ["三"]}], "张三"),
        ([{"use": "old"}, {"text": "李四"}], "李四"),
        ([{"family": None, "given": None}], ""),
        ([], ""),
    ],
)
def test_a_name_is_shown_whole(name: list[dict[str, object]], whole: str) -> None:
    assert person_name({"name": name}) == whole

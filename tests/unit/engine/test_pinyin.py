"""Chinese names are read aloud as people read them."""

import pytest

from engine.orders import latin_name


@pytest.mark.parametrize(
    ("name", "latin"),
    [
        ({"family": "石", "given": ["秀英"]}, "Shi^Xiuying"),
        ({"family": "单", "given": ["雄信"]}, "Shan^Xiongxin"),
        ({"family": "尉迟", "given": ["恭"]}, "Yuchi^Gong"),
        ({"text": "欧阳春燕"}, "Ouyangchunyan"),
        ({"family": "O'Neil", "given": ["Ann"]}, "O'neil^Ann"),
        ({"family": "张^三=\\", "given": []}, "Zhangsan"),
        ({}, ""),
    ],
)
def test_a_name_for_a_modality_that_shows_no_chinese(name: dict[str, object], latin: str) -> None:
    assert latin_name(name) == latin

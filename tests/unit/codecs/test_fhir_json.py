"""JSON keeps the digits of a decimal both ways."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from engine.codecs import fhir_json


@pytest.mark.parametrize("digits", ["5.10", "0.0", "-3.50", "1.000", "12345678901234567890.10", "0.0000001"])
def test_a_decimal_keeps_its_digits(digits: str) -> None:
    read = fhir_json.loads(f'{{"value":{digits}}}')
    assert read == {"value": Decimal(digits)}
    assert fhir_json.loads(fhir_json.dumps(read)) == read
    assert Decimal(str(fhir_json.loads(fhir_json.dumps(read))["value"])).as_tuple() == Decimal(digits).as_tuple()


def test_text_stays_readable_and_none_is_null() -> None:
    assert fhir_json.dumps({"name": "王小东", "gone": None}) == '{"name":"王小东","gone":null}'.encode()


def test_an_integer_stays_an_integer() -> None:
    assert fhir_json.loads(b'{"count":5}')["count"] == 5
    assert isinstance(fhir_json.loads(b'{"count":5}')["count"], int)


@pytest.mark.parametrize("text", ["", "{", '{"a":NaN}', "{'a':1}"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        fhir_json.loads(text)

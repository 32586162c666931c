"""`objects` of community.yaml says where images stay for good; a secret written into it, or a wrong key, is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.cli.assembly import object_store_of
from engine.config import InvalidConfiguration, load
from engine.config.gaps import gaps
from engine.config.objects import DiskObjects, S3Objects
from engine.errors import ConfigurationError

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"
S3 = """
objects:
  type: s3
  address: https://s3.example.cn:9000
  bucket: pictures
  access_key: env:HUTONG_TEST_ACCESS_KEY
  secret_key: file:secret-key
"""


@pytest.fixture
def county(tmp_path: Path) -> Path:
    folder = tmp_path / "county"
    shutil.copytree(EXAMPLE, folder)
    return folder


def put(county: Path, text: str) -> None:
    with (county / "community.yaml").open("a", encoding="utf-8") as file:
        file.write(text)


async def test_without_a_word_they_stay_on_the_disk() -> None:
    community = load(EXAMPLE)
    assert community.objects == DiskObjects()
    assert object_store_of(community) is None


async def test_a_bucket_is_described_by_references_to_its_keys(county: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(county, S3)
    (county / "secret-key").write_text("the-secret-of-a-test\n", encoding="utf-8")
    monkeypatch.setenv("HUTONG_TEST_ACCESS_KEY", "hutong")
    community = load(county)
    assert isinstance(community.objects, S3Objects)
    assert (community.objects.region, community.objects.prefix, community.objects.timeout_secs) == ("us-east-1", "", 30)
    store = object_store_of(community)
    assert store is not None
    store.close()


async def test_a_secret_that_is_not_there_is_named_and_not_guessed(county: Path) -> None:
    put(county, S3)
    community = load(county)
    with pytest.raises(ConfigurationError, match="env:HUTONG_TEST_ACCESS_KEY is empty"):
        object_store_of(community)
    first, second = gaps(community)
    assert first.startswith("the secret env:HUTONG_TEST_ACCESS_KEY is empty or not there on this machine")
    assert second.startswith("the secret file:secret-key cannot be read")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("type: s3", "type: s4", "objects.type: expected disk or s3"),
        ("file:secret-key", "the-secret-of-a-test", "objects.secret_key: expected a reference to a secret"),
        ("https://s3.example.cn:9000", "https://s3.example.cn/pictures", "objects.address: expected an address"),
        ("https://s3.example.cn:9000", "https://key:secret@s3.example.cn", "objects.address: expected an address"),
        ("https://s3.example.cn:9000", "https://s3.example.cn:99999", "objects.address: expected a port"),
        ("bucket: pictures", "bucket: Pictures_of", "objects.bucket: expected the name of a bucket"),
        ("bucket: pictures", "bucket: pictures\n  prefix: /up/../", "objects.prefix: expected folders"),
        ("bucket: pictures", "bucket: pictures\n  buckets: 2", "objects.buckets: unknown key"),
        ("bucket: pictures", "bucket: pictures\n  tls: {ca: nowhere.pem}", "objects.tls.ca: expected a file"),
        ("https://s3.example.cn:9000", "http://s3.example.cn\n  tls: {}", "an address that begins with https"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_without_the_secret(
    county: Path, before: str, after: str, told: str
) -> None:
    put(county, S3.replace(before, after))
    with pytest.raises(InvalidConfiguration) as raised:
        load(county)
    (problem,) = raised.value.problems
    assert told in str(problem)
    assert problem.line > 0
    assert "the-secret-of-a-test" not in str(problem)
    assert "key:secret" not in str(problem)


@pytest.mark.parametrize("text", ["objects: s3\n", "objects: []\n", "objects: {type: [s3]}\n"])
def test_what_is_no_description_at_all_is_told(county: Path, text: str) -> None:
    put(county, text)
    with pytest.raises(InvalidConfiguration):
        load(county)

"""A wrong configuration is answered with file, line, what was expected and the nearest valid name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config import InvalidConfiguration, load
from engine.errors import ConfigurationError

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"

Edit = Callable[[str, str, str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "community"))


@pytest.fixture
def edit(folder: Path) -> Edit:
    """Replaces the first occurrence of a text in a file; fails when it is not there."""

    def replace(file: str, old: str, new: str) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace


def problems(folder: Path) -> list[str]:
    with pytest.raises(InvalidConfiguration) as raised:
        load(folder)
    return [str(problem) for problem in raised.value.problems]


# file, what stands there, what is written instead, the one problem that must be told
WRONG_VALUES = [
    ("channels/baishi-his.yaml", "port: 2576", "prot: 2576", [
        "channels/baishi-his.yaml:4: prot: unknown key; did you mean 'port'?",
        "channels/baishi-his.yaml:1: port: expected this key, which is missing",
    ]),
    ("channels/baishi-his.yaml", "port: 2576", "port: many",
        ["channels/baishi-his.yaml:4: port: expected a whole number, found 'many'"]),
    ("channels/baishi-his.yaml", "port: 2576", "port: 65536",
        ["channels/baishi-his.yaml:4: port: expected a number of at most 65535"]),
    ("channels/baishi-his.yaml", "port: 2576", "port:",
        ["channels/baishi-his.yaml:4: port: expected a whole number, found nothing"]),
    ("channels/baishi-his.yaml", "type: mllp", "type: mlpp",
        ["channels/baishi-his.yaml:2: type: expected mllp or folder or dicom, found 'mlpp'; did you mean 'mllp'?"]),
    ("channels/baishi-his.yaml", "type: mllp", "",
        ["channels/baishi-his.yaml:1: type: expected type: mllp or folder or dicom"]),
    ("channels/baishi-his.yaml", "charset: gb18030", "charset: gb18031",
        ["channels/baishi-his.yaml:5: charset: expected a character set such as utf-8 or gb18030"]),
    ("channels/baishi-his.yaml", "acknowledge: when_persisted", "acknowledge: when_persistent", [
        "channels/baishi-his.yaml:6: acknowledge: expected when_persisted or when_processed, "
        "found 'when_persistent'; did you mean 'when_persisted'?"
    ]),
    ("channels/baishi-his.yaml", "port: 2576", "port: 2576\nname: other",
        ["channels/baishi-his.yaml:5: name: unknown key; the name is already given by 'baishi-his'"]),
    ("channels/imaging.yaml", "ae_title: DR_BAISHI", "ae_title: DR_BAISHI_UPSTAIRS",
        ["channels/imaging.yaml:7: ae_entries[1].ae_title: "
         "expected an AE title: 1 to 16 ASCII characters without a backslash"]),
    ("channels/imaging.yaml", "{ae_title: US_BAISHI, facility", "{ae_title: US_BAISHI, facilty",
        ["channels/imaging.yaml:8: ae_entries[2].facility: expected this key, which is missing",
         "channels/imaging.yaml:8: ae_entries[2].facilty: unknown key; did you mean 'facility'?"]),
    ("channels/imaging.yaml", "quiet_secs: 1.0", "quiet_secs: .inf",
        ["channels/imaging.yaml:5: quiet_secs: expected a number, found '.inf'"]),
    ("channels/imaging.yaml", "quiet_secs: 1.0", "quiet_secs: inf",
        ["channels/imaging.yaml:5: quiet_secs: expected a finite number, found 'inf'"]),
    ("community.yaml", "level: county", "level: country",
        ["community.yaml:11: facilities.qingxi-county.level: expected village or township or county, "
         "found 'country'; did you mean 'county'?"]),
    ("community.yaml", "  qingxi-tcm:", "  中医院:",
        ["community.yaml:13: facilities.中医院: '中医院': expected a name of lower-case letters, "
         "digits, '-', '_' and '.', found '中医院'"]),
    ("community.yaml", "http:", "htttp:",
        ["community.yaml:4: htttp: unknown key; did you mean 'http'?"]),
    ("community.yaml", "  port: 8080", "  port: 8080\n  prot: 1",
        ["community.yaml:7: http.prot: unknown key; did you mean 'port'?"]),
    ("community.yaml", "name: 青溪县紧密型县域医共体", "",
        ["community.yaml:1: name: expected this key, which is missing"]),
    ("endpoints/baishi-his.yaml", "mllp://127.0.0.1:2586", "127.0.0.1:2586",
        ["endpoints/baishi-his.yaml:4: address: expected an address such as mllp://10.0.0.5:2575"]),
    ("endpoints/baishi-his.yaml", "mllp://127.0.0.1:2586", "mllp://127.0.0.1:0",
        ["endpoints/baishi-his.yaml:4: address: expected an address such as mllp://10.0.0.5:2575"]),
    ("endpoints/baishi-his.yaml", "version: 2.4", "version: 2.44",
        ["endpoints/baishi-his.yaml:6: version: expected 2.3 or 2.3.1 or 2.4 or 2.5 or 2.5.1, "
         "found '2.44'; did you mean '2.4'?"]),
    ("endpoints/baishi-his.yaml", "version: 2.4", "retry: {first_secs: 10, max_secs: 5}",
        ["endpoints/baishi-his.yaml:6: retry: expected max_secs to be at least first_secs"]),
    ("endpoints/baishi-his.yaml", "receiving_application: HIS", "receiving_application: HIS|X",
        ["endpoints/baishi-his.yaml:7: receiving_application: expected text without | ^ ~ \\ & and line ends, "
         "found 'HIS|X'"]),
    ("routes.yaml", "to: {requester: true}", "to: {requester: true, centre: county-ecg}",
        ["routes.yaml:18: routes[3].to: expected exactly one of: requester: true, endpoints: [...], centre: NAME, "
         "priors_from: [...]"]),
    ("routes.yaml", "when: {event: report-signed}", "when: {event: order}",
        ["routes.yaml:16: routes[3]: expected event: report-signed, "
         "because only a report has a requester to go back to"]),
    ("routes.yaml", "to: {centre: county-ecg}", "to: {endpoints: [county-his]}",
        ["routes.yaml:9: routes[2]: expected centre: NAME; "
         "event: message with message_types passes the order's message on"]),
    ("routes.yaml", "when: {event: report-signed}", "when: {event: report-signed, message_types: [ADT]}",
        ["routes.yaml:16: routes[3]: expected no message_types, because only event: message has them"]),
    ("routes.yaml", "modalities: [ECG]", "modalities: ECG",
        ["routes.yaml:13: routes[2].when.modalities: expected a list, such as [one, two], found 'ECG'"]),
    ("routes.yaml", "modalities: [ECG]", "modalities: [ecg]",
        ["routes.yaml:13: routes[2].when.modalities[1]: "
         "expected a DICOM modality in capitals, such as DX, found 'ecg'"]),
    ("users.yaml", "roles: [clinician]", "roles: [clinican]",
        ["users.yaml:26: users.liu.roles[1]: expected admin or reader or reviewer or clinician or integrator or "
         "sender, found 'clinican'; did you mean 'clinician'?"]),
    ("users.yaml", "roles: [clinician]", "password: secret",
        ["users.yaml:23: users.liu.roles: expected this key, which is missing",
         "users.yaml:26: users.liu.password: unknown key; known: display, facility, roles"]),
    ("recognition.yaml", "default_days: 30", "default_days: 0",
        ["recognition.yaml:3: default_days: expected a number of at least 1"]),
    ("centres/county-ecg.yaml", "reviewers: [zhao]", "reviewers: []",
        ["centres/county-ecg.yaml:1: expected a second person in reviewers, because two_person is true"]),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "expected"), WRONG_VALUES)
def test_a_wrong_value_is_named_with_its_line(
    folder: Path, edit: Edit, file: str, old: str, new: str, expected: list[str]
) -> None:
    edit(file, old, new)
    assert sorted(problems(folder)) == sorted(expected)


WRONG_NAMES = [
    ("channels/baishi-his.yaml", "facility: baishi", "facility: baishy",
        "channels/baishi-his.yaml:3: facility: expected the name of a facility, found 'baishy'; "
        "did you mean 'baishi'?"),
    ("channels/imaging.yaml", "DR_BAISHI, facility: baishi", "DR_BAISHI, facility: liuzhu",
        "channels/imaging.yaml:7: ae_entries[1].facility: expected the name of a facility, found 'liuzhu'; "
        "did you mean 'liushu'?"),
    ("channels/imaging.yaml", "quiet_secs: 1.0", "default_facility: baishi2",
        "channels/imaging.yaml:5: default_facility: expected the name of a facility, found 'baishi2'; "
        "did you mean 'baishi'?"),
    ("endpoints/county-his.yaml", "facility: qingxi-county", "facility: qingxi-country",
        "endpoints/county-his.yaml:3: facility: expected the name of a facility, found 'qingxi-country'; "
        "did you mean 'qingxi-county'?"),
    ("centres/county-ecg.yaml", "facility: qingxi-county", "facility: zzzz",
        "centres/county-ecg.yaml:2: facility: expected the name of a facility, found 'zzzz'; "
        "known: baishi, liushu, qingxi, qingxi-county, qingxi-tcm"),
    ("centres/county-ecg.yaml", "readers: [chen, zhao]", "readers: [chen, zhou]",
        "centres/county-ecg.yaml:4: readers[2]: expected the name of a user, found 'zhou'; did you mean 'zhao'?"),
    ("centres/county-ecg.yaml", "reviewers: [zhao]", "reviewers: [chen]",
        "centres/county-ecg.yaml:5: reviewers[1]: expected a user with the role reviewer; 'chen' has it not"),
    ("routes.yaml", "centre: county-ecg", "centre: county-egc",
        "routes.yaml:14: routes[2].to.centre: expected the name of a centre, found 'county-egc'; "
        "did you mean 'county-ecg'?"),
    ("routes.yaml", "requester: true", "endpoints: [county-hiss]",
        "routes.yaml:18: routes[3].to.endpoints[1]: expected the name of an endpoint, found 'county-hiss'; "
        "did you mean 'county-his'?"),
    ("routes.yaml", "from_facilities: [baishi, qingxi, liushu]", "from_facilities: [baishi, qingshi]",
        "routes.yaml:5: routes[1].when.from_facilities[2]: expected the name of a facility, found 'qingshi'; "
        "did you mean 'qingxi'?"),
    ("routes.yaml", "id: ecg-orders-to-the-ecg-centre", "id: imaging-orders-to-the-imaging-centre",
        "routes.yaml:9: routes[2].id: expected every id once; 'imaging-orders-to-the-imaging-centre' "
        "is already routes[1]"),
    ("users.yaml", "facility: qingxi-county", "facility: county",
        "users.yaml:5: users.admin.facility: expected the name of a facility, found 'county'; "
        "did you mean 'qingxi-county'?"),
    ("channels/baishi-his.yaml", "port: 2576", "port: 2575",
        "channels/qingxi-his.yaml:4: port: expected a port of its own; 2575 is already channel baishi-his"),
    ("channels/baishi-his.yaml", "port: 2576", "port: 8080",
        "channels/baishi-his.yaml:4: port: expected a port of its own; 8080 is already http"),
    ("channels/imaging.yaml", "ae_title: US_BAISHI", "ae_title: DR_BAISHI",
        "channels/imaging.yaml:8: ae_entries[2].ae_title: expected ae_entries[1] to have an address or client_names, "
        "because it takes every caller of the title 'DR_BAISHI'"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "expected"), WRONG_NAMES)
def test_a_name_that_leads_nowhere_is_told_with_the_nearest_one(
    folder: Path, edit: Edit, file: str, old: str, new: str, expected: str
) -> None:
    edit(file, old, new)
    assert problems(folder) == [expected]


def test_every_problem_is_told_at_once(folder: Path, edit: Edit) -> None:
    edit("channels/baishi-his.yaml", "port: 2576", "port: many")
    edit("routes.yaml", "centre: county-ecg", "centre: county-egc")
    edit("users.yaml", "roles: [clinician]", "roles: [clinican]")
    assert [problem.split(":")[0] for problem in problems(folder)] == [
        "channels/baishi-his.yaml",
        "routes.yaml",
        "users.yaml",
    ]


def test_a_broken_definition_is_not_told_again_by_those_who_name_it(folder: Path, edit: Edit) -> None:
    edit("community.yaml", "level: village", "level: hamlet")
    edit("centres/county-ecg.yaml", "modalities: [ECG]", "modalities: [ecg]")
    assert [problem.split(":")[0] for problem in problems(folder)] == ["centres/county-ecg.yaml", "community.yaml"]


def test_a_misnamed_file_or_folder_is_not_passed_over(folder: Path) -> None:
    (folder / "routes.yaml").rename(folder / "route.yaml")
    (folder / "endpoints").rename(folder / "endpoint")
    (folder / "channels" / "county-lis.yaml").rename(folder / "channels" / "county-lis.yml")
    assert problems(folder) == [
        "channels/county-lis.yml: expected a file name that ends in .yaml",
        "endpoint/: unknown folder; did you mean 'endpoints'?",
        "route.yaml: unknown file; did you mean 'routes.yaml'?",
    ]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"expected a folder that holds community\.yaml"):
        load(tmp_path / "nowhere")


def test_an_empty_folder_lacks_the_community(tmp_path: Path) -> None:
    assert problems(tmp_path) == ["community.yaml: expected a readable file"]


def test_the_error_points_at_the_first_problem(folder: Path, edit: Edit) -> None:
    edit("channels/baishi-his.yaml", "port: 2576", "port: many")
    with pytest.raises(ConfigurationError) as raised:
        load(folder)
    assert raised.value.location == "channels/baishi-his.yaml:4"

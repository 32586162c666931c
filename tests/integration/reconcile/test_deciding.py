"""A person says whose a stored study is: one statement, everything follows, and it can be taken back."""

from __future__ import annotations

from tests.integration.engine.messages import order
from tests.integration.reconcile.conftest import Desk, Write

OTHER = {"PatientName": "Wang^Fang=王^芳", "PatientID": "BS0002", "PatientBirthDate": "19800101"}


async def test_a_study_with_a_wrong_accession_number_is_proposed_assigned_and_linked(
    desk: Desk, radiograph: Write
) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph(AccessionNumber="ACC7"))
    assert await desk.cases() == {"1.2.3": ["study-without-order"]}
    told = await desk.study("1.2.3")
    assert [one["accession"] for one in told["proposals"]] == ["ACC1"]
    assert {"patient-id", "name", "accession-alike", "modality"} <= set(told["proposals"][0]["agrees"])
    assert "basedOn" not in await desk.imaging_study("1.2.3"), "proposed, never applied"

    number = await desk.decide("1.2.3", "assign", accession="ACC1")
    assert await desk.cases() == {}
    assert (await desk.imaging_study("1.2.3"))["basedOn"]
    served = await desk.fetched("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert served.AccessionNumber == "ACC1"
    assert served.PixelData == b"1.2.3.1.1".ljust(32, b"\1")
    found = await desk.reader.get("/dicomweb/studies?AccessionNumber=ACC1")
    assert [one["0020000D"]["Value"] for one in found.json()] == [["1.2.3"]]

    assert (await desk.undo(number)).status_code == 200
    assert await desk.cases() == {"1.2.3": ["study-without-order"]}
    assert "basedOn" not in await desk.imaging_study("1.2.3")
    assert (await desk.fetched("1.2.3", "1.2.3.1", "1.2.3.1.1")).AccessionNumber == "ACC7"


async def test_a_study_of_another_patient_is_taken_from_its_order_and_given_back(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.order(order("O2", accession="ACC2", patient="BS0002", name="王^芳", control_id="M2"))
    await desk.store(radiograph())  # of the first patient, as far as the modality knows
    before = await desk.imaging_study("1.2.3")
    tasks = await desk.pool.fetch("select body ->> 'focus' as focus, body::jsonb -> 'input' as input from resource "
                                  "where type = 'Task'")  # fmt: skip
    assert sorted(row["input"] is not None for row in tasks) == [False, True]

    number = await desk.decide("1.2.3", "assign", accession="ACC2")
    after = await desk.imaging_study("1.2.3")
    assert after["basedOn"] != before["basedOn"]
    assert after["subject"] != before["subject"]
    served = await desk.fetched("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert (served.PatientID, str(served.PatientName)) == ("BS0002", "Wang^Fang=王^芳")
    assert "PatientAge" not in served
    states = await desk.pool.fetch("select accession, state from worklist order by accession")
    assert [tuple(row) for row in states] == [("ACC1", "scheduled"), ("ACC2", "performed")]
    assert await desk.task_states() == {"ACC1": "awaiting-study", "ACC2": "waiting"}

    await desk.undo(number)
    back = await desk.imaging_study("1.2.3")
    assert (back["basedOn"], back["subject"]) == (before["basedOn"], before["subject"])
    assert await desk.task_states() == {"ACC1": "waiting", "ACC2": "awaiting-study"}


async def test_a_study_is_assigned_to_a_patient_by_number(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph(**OTHER, AccessionNumber=""))
    assert await desk.cases() == {"1.2.3": ["study-without-accession"]}
    await desk.decide("1.2.3", "assign", patient_id="BS0001")
    served = await desk.fetched("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert (served.PatientID, served.PatientBirthDate, served.PatientSex) == ("BS0001", "19630512", "F")
    refused = await desk.ask("1.2.3", "assign", patient_id="NOBODY", revision=(await desk.study("1.2.3"))["revision"])
    assert (refused.status_code, refused.json()["code"]) == (404, "no-such-patient")


async def test_a_study_of_two_patients_is_split_and_each_part_goes_to_its_order(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.order(order("O2", accession="ACC2", patient="BS0002", name="王^芳", control_id="M2"))
    await desk.store(
        radiograph("1.2.3.1.1"),
        radiograph("1.2.3.1.2", InstanceNumber=2),
        radiograph("1.2.3.2.1", SeriesInstanceUID="1.2.3.2", **OTHER),
    )
    assert {"patient-id-differs", "patient-name-differs"} <= set((await desk.cases())["1.2.3"])
    number = await desk.decide("1.2.3", "split", series=["1.2.3.2"], accession="ACC2")
    assert await desk.cases() == {}
    assert await desk.uids("1.2.3") == {("1.2.3.1", "1.2.3.1.1"), ("1.2.3.1", "1.2.3.1.2")}
    new = (await desk.study("1.2.3"))["decisions"][0]["to_study"]
    assert await desk.uids(new) == {("1.2.3.2", "1.2.3.2.1")}
    served = await desk.fetched(new, "1.2.3.2", "1.2.3.2.1")
    assert (served.StudyInstanceUID, served.AccessionNumber) == (new, "ACC2")
    assert (await desk.imaging_study(new))["basedOn"] != (await desk.imaging_study("1.2.3"))["basedOn"]

    # One that comes late goes where its series went.
    await desk.store(radiograph("1.2.3.2.2", SeriesInstanceUID="1.2.3.2", InstanceNumber=2, **OTHER))
    assert await desk.uids(new) == {("1.2.3.2", "1.2.3.2.1"), ("1.2.3.2", "1.2.3.2.2")}
    assert len(await desk.uids("1.2.3")) == 2

    await desk.undo(number)
    assert len(await desk.uids("1.2.3")) == 4
    assert await desk.uids(new) == set()
    assert (await desk.imaging_study(new))["status"] == "entered-in-error"
    assert "patient-id-differs" in (await desk.cases())["1.2.3"]


async def test_single_instances_that_leave_get_a_series_of_their_own(desk: Desk, radiograph: Write) -> None:
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    await desk.decide("1.2.3", "split", instances=["1.2.3.1.2"])
    new = (await desk.study("1.2.3"))["decisions"][0]["to_study"]
    ((series, sop),) = await desk.uids(new)
    assert (sop, series != "1.2.3.1") == ("1.2.3.1.2", True)
    assert (await desk.fetched(new, series, sop)).SeriesInstanceUID == series


async def test_a_study_that_came_in_two_is_merged_and_parted_again(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph("1.2.3.1.1"))
    await desk.store(
        radiograph("1.2.4.1.1", StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.4.1", AccessionNumber="", StudyID="9")
    )
    assert await desk.cases() == {"1.2.4": ["study-without-accession"]}
    number = await desk.decide("1.2.4", "merge", into="1.2.3")
    assert await desk.cases() == {}
    assert await desk.uids("1.2.3") == {("1.2.3.1", "1.2.3.1.1"), ("1.2.4.1", "1.2.4.1.1")}
    assert await desk.uids("1.2.4") == set()
    served = await desk.fetched("1.2.3", "1.2.4.1", "1.2.4.1.1")
    assert (served.StudyInstanceUID, served.AccessionNumber, served.StudyID) == ("1.2.3", "ACC1", "")
    assert (await desk.imaging_study("1.2.3"))["numberOfInstances"] == 2
    assert (await desk.imaging_study("1.2.4"))["status"] == "entered-in-error"

    await desk.undo(number)
    assert await desk.uids("1.2.4") == {("1.2.4.1", "1.2.4.1.1")}
    assert (await desk.imaging_study("1.2.4"))["status"] == "available"
    assert (await desk.imaging_study("1.2.3"))["numberOfInstances"] == 1


async def test_what_follows_from_a_decision_is_undone_before_it(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph("1.2.3.1.1", AccessionNumber=""), radiograph("1.2.3.2.1", SeriesInstanceUID="1.2.3.2"))
    split = await desk.decide("1.2.3", "split", series=["1.2.3.2"])
    assigned = await desk.decide("1.2.3", "assign", accession="ACC1")
    refused = await desk.undo(split)
    assert (refused.status_code, refused.json()["code"]) == (409, "later-statements")
    assert str(assigned) in refused.json()["detail"]
    assert (await desk.undo(assigned)).status_code == 200
    assert (await desk.undo(split)).status_code == 200
    again = await desk.undo(split)
    assert (again.status_code, again.json()["code"]) == (409, "already-undone")
    assert len(await desk.uids("1.2.3")) == 2
    assert await desk.pool.fetchval("select count(*) from instance_as_sent") == 0


async def test_every_decision_says_who_when_and_why(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph(AccessionNumber="ACC7"))
    number = await desk.decide("1.2.3", "assign", accession="ACC1")
    await desk.undo(number)
    (line,) = (await desk.study("1.2.3"))["decisions"]
    assert (line["actor"], line["reason"], line["undone_why"]) == (
        "Administrator",
        "checked with the sender",
        "a mistake",
    )
    audited = await desk.pool.fetch(
        "select action, actor, detail ->> 'reason' as why from audit where action like 'reconcile-%' order by id"
    )
    assert [tuple(row) for row in audited] == [
        ("reconcile-assign", "Administrator", "checked with the sender"),
        ("reconcile-undo", "Administrator", "a mistake"),
    ]
    opened = await desk.pool.fetch("select code from finding where settled_at is null")
    assert [row["code"] for row in opened] == ["study-without-order"]


async def test_a_mislabelled_object_says_in_unicode_what_was_decided(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    file = radiograph(SpecificCharacterSet="GB18030", AccessionNumber="ACC7", StudyDescription="胸部正位")
    content = file.read_bytes()
    assert b"CS\x08\x00GB18030 " in content
    file.write_bytes(content.replace(b"CS\x08\x00GB18030 ", b"CS\x0a\x00ISO_IR 100"))
    await desk.store(file)
    number = await desk.decide("1.2.3", "assign", accession="ACC1")
    for accession in ("ACC1", "ACC7"):
        served = await desk.fetched("1.2.3", "1.2.3.1", "1.2.3.1.1")
        assert (served.AccessionNumber, served.StudyDescription) == (accession, "胸部正位")
        assert "石^秀英" in str(served.PatientName)
        if accession == "ACC1":
            await desk.undo(number)


async def test_what_names_no_character_set_gets_one_for_a_chinese_name(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph(SpecificCharacterSet=None, PatientName="Shi^X", AccessionNumber="ACC7"))
    await desk.decide("1.2.3", "assign", accession="ACC1")
    served = await desk.fetched("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert served.SpecificCharacterSet == "ISO_IR 192"
    assert str(served.PatientName) == "Shi^Xiuying=石^秀英"


async def test_a_study_in_latin_letters_says_the_chinese_name_of_the_one_that_it_is_merged_into(
    desk: Desk, radiograph: Write
) -> None:
    chinese = {"SpecificCharacterSet": "GB18030", "PatientName": "张三", "StudyDescription": "胸部正位"}
    latin = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Zhang^San", "InstitutionName": "Klinik Süd"}
    await desk.store(
        radiograph("1.2.3.1.1", **chinese),
        radiograph("1.2.4.1.1", StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.4.1", **latin),
    )
    number = await desk.decide("1.2.4", "merge", into="1.2.3")
    served = await desk.fetched("1.2.3", "1.2.4.1", "1.2.4.1.1")
    assert served.SpecificCharacterSet == "ISO_IR 192"
    assert (str(served.PatientName), served.StudyDescription) == ("张三", "胸部正位")
    assert served.InstitutionName == "Klinik Süd", "the rest of its text is said in Unicode too"
    await desk.undo(number)
    served = await desk.fetched("1.2.4", "1.2.4.1", "1.2.4.1.1")
    assert (served.SpecificCharacterSet, str(served.PatientName)) == ("ISO_IR 100", "Zhang^San")


async def test_what_does_not_fit_its_attribute_is_refused_and_not_cut(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1", name=f"王^{'芳' * 64}"))
    await desk.store(radiograph(AccessionNumber="ACC7"))
    revision = (await desk.study("1.2.3"))["revision"]
    refused = await desk.ask("1.2.3", "assign", patient_id="BS0001", revision=revision)
    assert (refused.status_code, refused.json()["code"]) == (409, "value-unfit")
    assert "name is longer than the 64 characters" in refused.json()["detail"]
    assert "芳" not in refused.text

"""Which components of its fields does a function of the mapping language read?

A line for each function, `id:` before those that make ids: its fields in their order, and of each the components that
it reads. `*` is the whole field; a function without a line, and a field behind the last one, are read whole, so that
nothing is said to be left that somebody may have read. A test compares the table with what the functions do.
"""

from __future__ import annotations

from functools import cache

from engine.mapping.definition import Rule

_WHOLE = "*"
_ID = "id:"


def components_of(rule: Rule, at: int, *, makes_id: bool) -> frozenset[int] | None:
    """The components that a rule reads of one of its fields, by the field's place in `from` and `else`; None: all."""
    name = rule.fields[at]
    if name.component is not None:
        return frozenset({name.component})
    if rule.function is None:
        return None
    fields = _table().get(f"{_ID if makes_id else ''}{rule.function}", ())
    place = at if at < len(rule.sources) else 0  # a field of `else` stands in for the only one of `from`
    return fields[place] if place < len(fields) else None


@cache
def _table() -> dict[str, tuple[frozenset[int] | None, ...]]:
    lines = (line.partition(": ") for line in _READ.replace(" |\n ", " |").strip().splitlines())
    return {name: tuple(map(_numbers, fields.split(" | "))) for name, _, fields in lines}


def _numbers(text: str) -> frozenset[int] | None:
    if text == _WHOLE:
        return None
    found: set[int] = set()
    for each in text.split():
        first, _, last = each.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


_READ = """
abnormal_nature: 1-6 9
accession: 1
account_number: 1 4-5
address: 1-9 13-14
administered_at: * | * | 1-4 7-17 21
administration_status: 1 | 1 | 1
agent: 1-7 9-10 13 19-21 | 1-6 9 | 1-9 13-14
allergen_category: 1-6 9
allergy_criticality: 1-6 9
allergy_recorder: 1-6 9 18-20 | * | 1-7 9-10 13 19-21
allergy_status: 1 | 1 | *
amount: 1-6 8 10-11
amount_of: 1 | 1-6 9
analysed_at: 1
animal: 1-6 9 | 1-6 9
appointment_contact: 1-7 9-10 13 19-21
appointment_minutes: 1 | 1
appointment_number: 1-3
appointment_reason: 1-6 9
appointment_status: 1 | 2
appointment_time: 1 | 1 | 3-5 | 1 | *
appointment_type: * | 1-6 9
as_needed: 1
assigned_place: 1-4 6-9 | 1 | 2 | *
belongs_to: 1-3
birth_date: 1
birth_place: 1
booked_equipment: 1-6 9 | 1-6 9 | 1 | * | 1 | 1 | 1 | 1 | 1 | 1 | *
booked_person: 1-7 9-10 13 19-21 | 1-6 9 | 1 | 1 | 1 | 1 | 1 | 1 | 1 | 1 | *
booked_place: 1-4 6-9 | 1-6 9 | 1 | * | 1 | 1 | 1 | 1 | 1 | 1 | 4
booked_service: 1-6 9 | 1
bounds: * | * | 1-2 | 1 | 1 | 1
callback: 1-8 12-14 18
cancelation_reason: 1-6 9 | 1 | 2
charge_performer: 1-7 9-10 13 19-21
charge_status: 1
charged_at: 1-2
charged_code: 1-6 9 | 1 | 1
charged_quantity: 1
code: 1
code_extension: 1-6 9
coded_part: 1-9 13-14
coded_remark: 1-6 9
coding_extension: 1-3
collected: 1-2
collected_between: 1 | 1
comment_content: * | 2
concept: 1-6 9
concept_extension: 1-6 9
concepts: 1-6 9
confidentiality: 1
contact: 1-8 12-14 | 1-6 9 | 1-6 9 | 1-9 13-14 | 1-8 12-14 18 | 1-8 12-14 18 | 1 | * | * | * | 1-8 12-14 |
  1-8 12-14 18 | 1-9 13-14 | 1-8 12-14 18 | 1-8 12-14 18
container: 1-6 9 | 1-6 9
count: 1
coverage_class: 1-2 | 1
daily_maximum: 1-6 8-11
date: 1
date_time: 1
days: 1
deceased: 1 | 1
department: 1-6 9
described_code: 1-6 9 | 1
device: 1
device_agent: 1-6 9
diagnosis_use: 1-6 9 | 1
diagnosis_verification: 1
discharged_to: 1
dispense_status: 1
dispensed_medication: 1-6 9 | 1-6 9 | 1 | 1-6 9 | 1 | 1-6 9 | 1-6 9 | 1 | * | 1-6 9 | 1 | 1-6 9 | 1 | 1-6 9 | 1 |
  1-6 9 | 1 | 1-6 9
dispensing_pharmacy: 1-2 | 1-9 13-14 | 1-8 12-14 18
district: 1 | 9
document_completion: 1 | 2
document_content: * | * | 1-2 | 1 | 1 | 1
document_date: 1
document_number: 1-3
document_relation: 1-3 | 2
document_status: 1 | 2
dose_amount: 1 | 1 | 1-6 9 | 1-5 9-11
due_to: 1-3
email: 1
employed: 1 | 1
entity_identifier: 1-3
event_activity: 1-2
event_place: 1-2 | 1-9 13-14 | 1-8 12-14 18
event_reason: 1-6 9
examination: 1-6 9
examination_category: 1 | 1
examination_site: 1
fasting: 1
file_name: 1
general_practitioner: 1-6 9 | 1-7 9-10 13 19-21 | * | * | 1-8 12-14 18 | 1-4 6-9 | 1 3 6-7 10 | 1-6 9 |
  1-9 13-14 | 1-6 9 | 1 | 1
given_amount: 1 | 1-6 9
given_at: 1 | *
id:account_id: 1 4-5
id:administration_id: 1 | 1 | 1 | 1 | 1 | 1
id:appointment_id: 1 | 1 | 1
id:charge_id: 1 | 1 | 1-6 9 | 1 | 1
id:dispense_id: 1 | 1 | 1 | 1 | 1-6 9 | 1
id:document_id: 1
id:immunization_id: 1 | 1 | 1-6 9 | 1
id:insured_id: 1-3 | 1-3 | 1
id:joined_visit: 1 | 1 | *
id:linked_patient_id: 1 4-5 | 1 4 | 1 4 | 1 4 | 1 4
id:mentioned_order_id: 1 | 1
id:moved_visit: 1 | 1 | 1 4-5 | *
id:observation_id: 1-6 9 | * | * | * | *
id:order_id: 1 | 1 | 1 | 1
id:patient_id: 1 4-5 | 1 4 | 1 4 | 1 4 | 1 4
id:patient_item_id: 1-6 9 | 1-6 9 | 1 | 1 | 1
id:patient_observation_id: 1 | 1 | * | 1
id:place_id: 1-4 6-9 | 1-4 6-9
id:placed_order_id: 1 | 1 | 1 | 1
id:prescription_id: 1 | 1 | 1 | 1-6 9
id:prior_patient_id: 1 4-5 | 1 4 | 1 4 | 1 4
id:referral_id: 1 | 1
id:relative_id: 1-3 | 1-3 | 1-3 | 1-3 | 1-3
id:report_id: 1 | 1 | 1 | 1 | 1-6 9 | 1
id:retired_patient_number: * | * | 1 | *
id:retired_visit_number: * | * | 1 | *
id:schedule_id: 1-10 13 19-21
id:slot_id: 1 | 1 | 1 | * | * | 1 | 1 | 4-5
id:specimen_id: 1-2 | 1 | 1
id:staff_id: 1 | 1 | 1
id:visit_id: 1 | 1 | * | *
id:visit_item_id: 1 | * | * | *
imaging_category: 1-2 | 1 | 1
instant: 1
language: 1-6 9
license_number: 1-6 9
location: 1-4 6-9
medication: 1-6 9 | 1-6 9 | 1 | 1-6 9 | 1 | 1-6 9 | 1-6 9 | 1 | 1-6 9 | 1 | 1-6 9 | 1 | 1-6 9 | 1 | 1-6 9
multiple_birth: 1 | 1
name_extension: 1-8 12-14
named_practitioner: 1-7 9-10 13 19-21
national_number: 1
notes_extension: * | 1-6 9 | 1-7 9-10 13 19-21 | * | 1-6 9
observation_value: * | 1 | 1-6 9 | 1-6 9 | 1
observed_at: 1-4 6-9 | *
observers: 1-6 9 | 1-7 9-10 13 19-21 | * | * | 1-8 12-14 18 | 1-4 6-9 | 1 3 6-7 10 | 1-6 9 | 1-9 13-14 | 1-6 9 |
  1 | 1
occurrence_duration: 1-2
operator: 1-7 9-10 13 19-21
order_activity: 1
order_event: 1 | *
order_number: 1
order_status: 1 | 1
ordering_provider: 1-7 9-10 13 19-21 | 1-7 9-10 13 19-21 | 1-9 13-14 | 1 3 6-7 10 | 1-9 13-14 | 1-8 12-14 18
organization: 1 3 6-7 10
other_provider: 1-6 9 | 1-6 9 | 1-9 13-14 | 1-4 6-9 | 1-8 12-14 18 | 1-2 4 | 1 | 1 | 1 3 6-7 10 | 1-9 13-14 |
  1-8 12-14 18
other_specimen_number: 1 5
parent_order: 1-2
parent_specimens: 1
participant: 1-7 9-10 13 19-21
patient_identifier: 1 4-5 7-8
payor: * | 1 3 6-7 10 | 1 4-5 | 1-9 13-14 | 1-8 12-14 18 | * | * | 1-8 12-14
performed: 1 | 1
performer: 1-7 9-10 13 19-21
performing: 1-7 9-10 13 19-21
performing_laboratory: 1 3 6-7 10 | 1-9 13-14
performing_role: 1-6 9 | 1-7 9-10 13 19-21 | * | * | 1-8 12-14 18 | 1-4 6-9 | 1 3 6-7 10 | 1-6 9 | 1-9 13-14 |
  1-6 9 | 1
person_deletion_not_applied: 2
person_identifier: 1 4-5 7-8
person_name: 1-8 12-14
pharmacy: 1-2 | 1-9 13-14 | 1-8 12-14 18
place: 1-4 6-9
place_description: 1
place_entry: 1-4 6-9 | 1-4 6-9
place_status: 1
policy_holder: 1 3 6-7 10 | 1 4-5
practitioner: 1-7 9-10 13 19-21
prescription_named: 1
prescription_number: 1
prescription_status: 1 | 1
presented_form: 4-5 | * | 2
price: 1 | 1 | 1
prior_numbers: * | 1 4-5 | 1 4-5 | 1 4-5 | 1 4-5
procedure_code: 1-6 9 | 1 | 1
producer: 1-6 9
rate_amount: 1 | 1-6 9
reaction: * | 1
recorded: * | * | 1
referral_kind: 1-6 9
referral_number: 1-3
referral_status: 1 | *
referred_to_provider: 1-6 9 | 1-6 9 | 1-9 13-14 | 1-4 6-9 | 1-8 12-14 18 | 1-2 4 | 1 | 1 | 1 3 6-7 10 |
  1-9 13-14 | 1-8 12-14 18
referring_provider: 1-6 9 | 1-6 9 | 1-9 13-14 | 1-4 6-9 | 1-8 12-14 18 | 1-2 4 | 1 | 1 | 1 3 6-7 10 | 1-9 13-14 |
  1-8 12-14 18
related_specimen: 1
remarks: * | 1-7 9-10 13 19-21 | *
repeat_pattern: 1 5-6 8-10
report_category: 1
reported_order_status: 1 | 1 | 1
reported_service: 1-6 9 | *
resource_time: 1 | 1 | 1 | * | * | 1 | 1 | 4-5
result_number: 1
result_status: 1
role: 1-6 9 | 1-7 9-10 13 19-21 | * | * | 1-8 12-14 18 | 1-4 6-9 | 1 3 6-7 10 | 1-6 9 | 1-9 13-14 | 1-6 9 | 1 | 1
route: 1-6 9 | * | *
scheduled: 1-10 13 19-21
sending_agent: * | 1-2 | 1-2
service_period: 1 | 1 | 1 | 1 | * | * | *
service_status: 1 | 1 | 2
slot_reason: 1-6 9
slot_time: 1 | 1 | 1 | * | * | 1 | 1 | 4-5
source_type: 1-2
specialty: 1
specimen_number: 1-2
staff_active: 1 | 1
staff_number: 1 5
station: 1 | 1-6 9
study_named: 1
study_uid: 1
subscriber_number: 1 4-5 7-8
taking_part: 1-7 9-10 13 19-21
telecom: 1-8 12-14 18
temporary_place: 1-4 6-9
temporary_place_now: 1-4 6-9 | * | * | *
text: 1
text_extension: 1
time_extension: 1
time_of_day: 1
transaction_number: 1
udi_device: 1 | 1 | * | * | 1 | 1 | 1 | 1-6 9
vaccination_status: 1 | 1
vaccinator: 1-7 9-10 13 19-21
visit_class: 1 | *
visit_number: 1 5
visit_status: 2 | 1 | 1
was_substituted: 1
whole_number: 1
words: 1-2
words_note: 1-2
"""

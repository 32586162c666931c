-- The numbers by which performed steps wait for an order that was not here when they began: read when an order comes.

create table awaited_order (
    facility text not null,
    number   text not null,         -- accession number or Study Instance UID
    step     text not null,         -- of the performed step
    primary key (facility, number, step)
);

insert into awaited_order (facility, number, step)
select distinct p.facility, n.number, p.uid
from performed_step p, jsonb_array_elements(p.told -> 'scheduled') s,
     lateral (values (coalesce(nullif(s ->> 'accession', ''), nullif(s ->> 'step_id', ''), s ->> 'procedure_id')),
                     (s ->> 'study_uid')) n(number)
where n.number <> '' and cardinality(p.orders) < jsonb_array_length(p.told -> 'scheduled');

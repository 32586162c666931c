-- Merges and links that somebody stated: statements that can be taken back, and what they are worked out from.

-- The golden Patient that a source has, and an identifier leads to, before any statement: `golden` follows from `home`
-- and the statements that stand.
alter table patient_link add column home text;
update patient_link set home = golden;
alter table patient_link alter column home set not null;
alter table person_key add column home text;
update person_key set home = golden;
alter table person_key alter column home set not null;
create index person_key_home on person_key (home);

create table patient_join (
    id           bigint      generated always as identity primary key,
    kind         text        not null,   -- merge (`joined` is retired) | link (both stay in use)
    joined       text        not null,   -- source Patients: `joined` is the person of `joined_to`
    joined_to    text        not null,
    envelope     uuid,                   -- who stated it: an envelope, or
    actor        text,                   -- a person
    stated_at    timestamptz not null,   -- when the envelope came; statements hold in this order
    undone_at    timestamptz,
    undone_by    text,                   -- who took it back: a person, or `system` for
    undone_envelope uuid,                -- an envelope that unlinks
    undone_why   text
);
create index patient_join_joined on patient_join (joined);
create index patient_join_joined_to on patient_join (joined_to);

-- What belongs to a visit is found by it, whatever type it is: a visit can be moved to another patient.
update resource set tokens = tokens || array['encounter=' || (body #>> '{encounter,reference}')]
where body #>> '{encounter,reference}' is not null
  and not tokens @> array['encounter=' || (body #>> '{encounter,reference}')];

-- A resource of two kilobytes stands in its row as it is: compressing it costs more time than writing it. What was
-- superseded is compressed.
alter table resource set (toast_tuple_target = 8160);

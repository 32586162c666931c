-- What studies and series are found by. Apart from `study`, whose rows change with every group of stored objects: here
-- a row is written when its study says something new. Conflicting contents of a used SOP Instance UID do not count.
-- What is compared with a beginning or a range has the collation "C"; UIDs have the one of `instance`, to be joined with it.
create table study_search (
    uid          text not null,
    facility     text not null,
    patient_id   text collate "C" not null,      -- the first that an instance gave; empty when none has one
    accession    text collate "C" not null,
    study_date   text collate "C" not null,      -- YYYYMMDD; empty when there is none or it is no date
    study_time   text collate "C" not null,      -- HHMMSS; empty when there is none or it is no time
    modalities   text[] collate "C" not null,
    names        text[] collate "C" not null,    -- forms of every patient's name that instances give
    tokens       text[] collate "C" not null,    -- of those names, and @MODALITY
    tags         jsonb not null,                 -- attributes of patient and study, text repaired, the first of each
    primary key (uid, facility)
);
create index study_search_patient on study_search (patient_id, facility);
create index study_search_accession on study_search (accession, facility);
create index study_search_dated on study_search (study_date desc, study_time desc, uid, facility);
create index study_search_of_facility on study_search (facility, study_date desc, study_time desc, uid);
create index study_search_tokens on study_search using gin (tokens);

create table series (
    study_uid    text not null,
    facility     text not null,
    uid          text not null,
    modality     text collate "C" not null,
    number       bigint,
    instances    int not null,
    tags         jsonb not null,
    primary key (study_uid, facility, uid)
) with (fillfactor = 80);                        -- counting moves no row
create index series_uid on series (uid);

insert into series (study_uid, facility, uid, modality, number, instances, tags)
select one.study_uid, one.facility, one.series_uid, coalesce(one.tags ->> 'modality', ''),
       case when one.tags ->> 'series_number' ~ '^\s*[+-]?\d{1,9}\s*$' then (one.tags ->> 'series_number')::bigint end,
       one.instances, one.tags
from (
    select given.study_uid, given.facility, given.series_uid,
           (select count(*) from instance i
            where i.study_uid = given.study_uid and i.facility = given.facility
              and i.series_uid = given.series_uid and not i.conflict) as instances,
           given.tags
    from (
        -- Of values under one key the last stays: the one that was stored first.
        select i.study_uid, i.facility, i.series_uid,
               coalesce(jsonb_object_agg(tag.key, tag.value order by i.stored_at desc, i.sop_uid desc)
                        filter (where tag.key is not null), '{}') as tags
        from instance i left join lateral (
            select * from jsonb_each(i.tags) where key in (
                'modality', 'series_description', 'series_number', 'body_part', 'institution', 'station_name',
                'manufacturer', 'model')
        ) tag on true
        where not i.conflict group by i.study_uid, i.facility, i.series_uid
    ) given
) one;

insert into study_search (uid, facility, patient_id, accession, study_date, study_time, modalities, names, tokens, tags)
select one.study_uid, one.facility, coalesce(one.tags ->> 'patient_id', ''), coalesce(one.tags ->> 'accession', ''),
       case when replace(one.tags ->> 'study_date', '.', '') ~ '^\d{8}$'
            then replace(one.tags ->> 'study_date', '.', '') else '' end,
       case when replace(one.tags ->> 'study_time', ':', '') ~ '^\d{2}(\d{2}){0,2}(\.\d*)?$'
            then rpad(split_part(replace(one.tags ->> 'study_time', ':', ''), '.', 1), 6, '0') else '' end,
       one.modalities, '{}', (select coalesce(array_agg('@' || m), '{}') from unnest(one.modalities) m), one.tags
from (
    select given.study_uid, given.facility, given.tags,
           (select coalesce(array_agg(distinct s.modality) filter (where s.modality <> ''), '{}') from series s
            where s.study_uid = given.study_uid and s.facility = given.facility) as modalities
    from (
        select i.study_uid, i.facility,
               coalesce(jsonb_object_agg(tag.key, tag.value order by i.stored_at desc, i.sop_uid desc)
                        filter (where tag.key is not null), '{}') as tags
        from instance i left join lateral (
            select * from jsonb_each(i.tags) where key in (
                'patient_name', 'patient_id', 'issuer', 'birth_date', 'sex', 'age', 'accession', 'study_id',
                'study_date', 'study_time', 'description', 'referring')
        ) tag on true
        where not i.conflict group by i.study_uid, i.facility
    ) given
) one;

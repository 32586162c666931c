-- What people, and rejection notes, say of stored studies, laid over objects that stay as they were sent.
-- `instance`, `series` and `study_search` hold what is served: what was sent, with every statement that stands applied
-- in the order in which it was made.
create table study_statement (
    id           bigint      generated always as identity primary key,
    facility     text        not null,
    kind         text        not null,           -- assign | split | merge | keep | replace | leave | reject
    study_uid    text        not null,           -- as it was served when this was said
    studies      text[]      not null,           -- every study that it touches
    said         jsonb       not null,           -- what `engine.store.statements` reads
    actor        text        not null,           -- a user, or an AE title
    reason       text        not null,
    stated_at    timestamptz not null,
    undone_at    timestamptz,
    undone_by    text,
    undone_why   text,
    note         text        not null default 'none'    -- the rejection note that tells others: none | owed | made | undo-owed | undo-made
);
create index study_statement_studies on study_statement using gin (studies);
create index study_statement_note on study_statement (id) where note in ('owed', 'undo-owed');

create table instance_as_sent (                  -- of every object that is served otherwise than it was sent, or not
    sop_uid          text        not null,
    facility         text        not null,
    sha256           bytea       not null,
    study_uid        text        not null,
    series_uid       text        not null,
    sop_class        text        not null,
    transfer_syntax  text        not null,
    modality         text        not null,
    number           int,
    bytes            bigint      not null,
    location         text        not null,
    tags             jsonb       not null,
    charset          jsonb       not null,
    peer             text        not null,
    stored_at        timestamptz not null,
    conflict         boolean     not null,
    served_sop_uid   text        not null,
    served_study_uid text        not null,
    hidden           text        not null,       -- why it is not served: `other-content`, or the code of a rejection; empty when it is
    primary key (sop_uid, facility, sha256)
);
create index instance_as_sent_study on instance_as_sent (study_uid, facility);
create index instance_as_sent_served on instance_as_sent (served_study_uid, facility);
create index instance_as_sent_served_sop on instance_as_sent (served_sop_uid, facility, sha256);

-- How often something was said of a study: late objects of such a study are laid under what was said.
alter table study add column statements int not null default 0;

create table reconcile_case (                    -- what about a study a person should decide; kept by its manifests
    facility   text        not null,
    study_uid  text        not null,
    about      text        not null,                -- ImagingStudy/…
    kind       text        not null,
    opened_at  timestamptz not null,
    primary key (facility, study_uid, kind)
);
create index reconcile_case_about on reconcile_case (about);
create index reconcile_case_opened on reconcile_case (opened_at desc, facility, study_uid);

create table rejection_note_read (               -- notes that came, and were carried out or found to be none
    sop_uid   text        not null,
    facility  text        not null,
    sha256    bytea       not null,
    read_at   timestamptz not null,
    primary key (sop_uid, facility, sha256)
);
create index instance_key_objects on instance (stored_at) where sop_class = '1.2.840.10008.5.1.4.1.1.88.59';

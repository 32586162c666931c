-- The tables of the first examination. One file per migration, forward only.

-- ── Journal: accepted envelopes, insert-only, partitioned by month through the time in the UUIDv7 ─────────────────
create table journal (
    id              uuid        not null,
    kind            text        not null,
    channel         text        not null,
    facility        text        not null,
    peer            text        not null,
    received_at     timestamptz not null,
    message_type    text        not null,
    control_id      text        not null,
    sha256          bytea       not null,
    payload         bytea       not null,
    acknowledgment  bytea       not null,   -- empty until processed, for a channel that acknowledges when processed
    primary key (id)
) partition by range (id);
alter table journal alter column payload set storage external;  -- compressing costs more time than the disk is worth
create index journal_control_id on journal (control_id);
-- A message of a few kilobytes stands in its row: a toast table would cost three more index entries for each.
create table journal_default partition of journal default with (toast_tuple_target = 8160);

-- Positively acknowledged messages: a repeat has the same control key and the same content key (promise 3).
create table repeat_guard (
    control_key  bytea not null,   -- digest of channel, MSH-3, MSH-4, MSH-10
    content_key  bytea not null,   -- digest of the payload without MSH-7 and MSH-13
    envelope     uuid  not null,
    primary key (control_key, content_key)
);

-- Unfinished envelopes, and the lanes they wait in. A finished envelope leaves both.
create table inbox (
    envelope        uuid        primary key,
    lanes           text[]      not null,
    state           text        not null default 'accepted',   -- accepted | held
    attempts        int         not null default 0,
    next_attempt_at timestamptz
);
create table lane (
    key       text not null,
    envelope  uuid not null,
    primary key (key, envelope)
);

-- How a finished envelope ended.
create table outcome (
    envelope     uuid        primary key,
    state        text        not null,                 -- processed | refused (the sender was told, and keeps it) | skipped
    finished_at  timestamptz not null,
    mapping      text,                                 -- name@version+digest of the mapping that ran
    resources    jsonb       not null default '[]',    -- ["Patient/…@3", …] what was written
    unmapped     text[]      not null default '{}',    -- fields that held something no rule took: PID-31
    reply        bytea                                 -- the acknowledgment of a channel that answers when processed
);

-- ── Record: FHIR R4 resources; current rows apart from superseded versions ───────────────────────────────────────
create table resource (
    type          text        not null,
    id            text        not null,
    version       int         not null,
    last_updated  timestamptz not null,
    body          jsonb       not null,    -- without meta.versionId and meta.lastUpdated, which are the columns
    tokens        text[]      not null,    -- what it can be searched by
    envelope      uuid,                    -- the envelope it came from, or
    actor         text,                    -- the person who wrote it
    mapping       text,
    primary key (type, id)
);
create index resource_tokens on resource using gin (tokens);
create index resource_recent on resource (type, last_updated desc, id);
create table resource_history (
    type          text        not null,
    id            text        not null,
    version       int         not null,
    last_updated  timestamptz not null,
    body          jsonb       not null,
    envelope      uuid,
    actor         text,
    mapping       text,
    primary key (type, id, version)
);
create index resource_envelope on resource (envelope);
create index resource_history_envelope on resource_history (envelope);

-- ── Identity: source Patients under a golden Patient ─────────────────────────────────────────────────────────────
create table person_key (               -- one person's identifier belongs to one golden Patient; the row is the lock
    system  text not null,
    value   text not null,
    golden  text not null,
    primary key (system, value)
);
create table patient_link (
    source     text        primary key,
    golden     text        not null,
    reasons    jsonb       not null,
    linked_at  timestamptz not null
);
create index patient_link_golden on patient_link (golden);

-- ── Outbox: what is owed, to whom, and the proof that it arrived ─────────────────────────────────────────────────
create table delivery (
    id              uuid        primary key,          -- UUIDv7: the order of one endpoint
    endpoint        text        not null,
    control_id      text        not null,
    payload         bytea       not null,
    state           text        not null default 'owed',   -- owed | delivered | refused
    attempts        int         not null default 0,
    next_attempt_at timestamptz not null,
    created_at      timestamptz not null,
    envelope        uuid,                              -- what caused it: an envelope, or
    about           text,                              -- a resource: Task/…
    route           text        not null,
    last_error      text,
    receipt         bytea,
    delivered_at    timestamptz
);
create index delivery_owed on delivery (endpoint, id) where state = 'owed';
create index delivery_control_id on delivery (control_id);
create index delivery_about on delivery (about);
create index delivery_envelope on delivery (envelope);
create table delivery_attempt (
    delivery  uuid        not null,
    at        timestamptz not null,
    outcome   text        not null,   -- delivered | an error code
    detail    text        not null
);
create index delivery_attempt_delivery on delivery_attempt (delivery, at);

-- ── Findings and audit ───────────────────────────────────────────────────────────────────────────────────────────
create table finding (
    id          uuid        primary key,
    code        text        not null,
    severity    text        not null,
    location    text,
    rule        text,
    text        text        not null,
    channel     text,
    envelope    uuid,                  -- where it was found: an envelope, or
    about       text,                  -- a resource or an object: ImagingStudy/…, Instance/…
    found_at    timestamptz not null,
    settled_at  timestamptz,
    settled_by  text,
    settlement  text
);
create index finding_envelope on finding (envelope);
create index finding_about on finding (about);
create index finding_open on finding (found_at desc) where settled_at is null;
create table audit (
    id       bigint      generated always as identity primary key,
    at       timestamptz not null,
    actor    text        not null,   -- a user, or `system`
    action   text        not null,   -- read | search | record | claim | sign | …
    subject  text        not null,   -- Patient/…, Envelope/…, Task/…
    detail   jsonb       not null default '{}'
);
create index audit_subject on audit (subject, at);

-- ── Imaging ──────────────────────────────────────────────────────────────────────────────────────────────────────
create table worklist (                -- scheduled procedure steps; what MWL answers from
    service_request     text        primary key,
    facility            text        not null,
    accession           text        not null,
    study_uid           text        not null unique,
    patient_id          text        not null,
    issuer              text        not null,
    patient_name        text        not null,           -- as the facility wrote it
    patient_name_latin  text        not null,           -- pinyin, for a modality that shows no Chinese
    birth_on            date,
    sex                 text        not null,           -- M | F | O | empty
    modality            text        not null,
    station_ae          text        not null,           -- empty: any station of the facility
    procedure_code      text        not null,
    procedure_text      text        not null,
    body_part           text        not null,
    requested_by        text        not null,
    placer              text        not null,
    scheduled_at        timestamptz not null,
    state               text        not null default 'scheduled',   -- scheduled | performed | cancelled
    unique (facility, accession)
);
create index worklist_scheduled on worklist (facility, scheduled_at) where state = 'scheduled';
create table accession_counter (
    facility  text not null,
    day       date not null,
    issued    int  not null,
    primary key (facility, day)
);
create table study (
    uid              text        not null,
    facility         text        not null,
    channel          text        not null,
    peer             text        not null,
    first_stored_at  timestamptz not null,
    last_stored_at   timestamptz not null,
    revision         int         not null default 1,    -- counts stored instances
    noticed_revision int         not null default 0,    -- the revision whose manifest is in the journal
    primary key (uid, facility)
);
create index study_unnoticed on study (last_stored_at) where noticed_revision < revision;
create table instance (
    sop_uid          text        not null,
    facility         text        not null,
    sha256           bytea       not null,              -- of the data set bytes as they were on the wire
    study_uid        text        not null,
    series_uid       text        not null,
    sop_class        text        not null,
    transfer_syntax  text        not null,
    modality         text        not null,
    number           int,
    bytes            bigint      not null,
    location         text        not null,              -- key in the spool or the object store
    tags             jsonb       not null,              -- identifying attributes, text repaired
    charset          jsonb       not null,              -- declared, used, doubtful
    peer             text        not null,
    stored_at        timestamptz not null,
    conflict         boolean     not null default false,-- the same SOP Instance UID came with other content
    primary key (sop_uid, facility, sha256)
);
create index instance_study on instance (study_uid, facility);

-- ── Access ───────────────────────────────────────────────────────────────────────────────────────────────────────
create table access_token (
    digest      bytea       primary key,               -- sha256; the token itself is kept nowhere
    user_name   text        not null,
    created_at  timestamptz not null,
    revoked_at  timestamptz
);

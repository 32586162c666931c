-- What modalities say of the steps they perform (MPPS), what is asked to be kept for good (storage commitment), what
-- others say is available, and what they are owed of all this.

create table performed_step (
    uid              text        not null,      -- SOP Instance UID
    facility         text        not null,
    channel          text        not null,
    peer             text        not null,      -- who created it
    state            text        not null,      -- IN PROGRESS | COMPLETED | DISCONTINUED
    orders           text[]      not null,      -- ServiceRequest ids of the scheduled steps it performs
    told             jsonb       not null,      -- as the engine is told of it
    created_at       timestamptz not null,
    changed_at       timestamptz not null,
    revision         int         not null default 1,    -- counts what was said of it
    noticed_revision int         not null default 0,    -- the revision that is in the journal
    primary key (uid, facility)
);
create index performed_step_unnoticed on performed_step (changed_at) where noticed_revision < revision;
create index performed_step_orders on performed_step using gin (orders);

create table performed_step_message (           -- data sets as they came
    uid             text        not null,
    facility        text        not null,
    revision        int         not null,
    peer            text        not null,
    transfer_syntax text        not null,
    data_set        bytea       not null,
    received_at     timestamptz not null,
    primary key (uid, facility, revision),
    foreign key (uid, facility) references performed_step on delete cascade
);

alter table worklist add column performing text not null default '';    -- in-progress | completed | empty

create table commitment (
    id              bigint      generated always as identity primary key,
    transaction_uid text        not null,
    channel         text        not null,       -- empty where we ask
    facility        text        not null,
    other           text        not null,       -- who asked, or whom we ask: a destination of notifications
    by_us           boolean     not null,
    first           boolean     not null,       -- false: the transaction UID had been used before
    asked_at        timestamptz not null,
    settled_at      timestamptz                 -- when every outcome was known
);
create unique index commitment_transaction on commitment (other, by_us, transaction_uid) where first;
create index commitment_unsettled on commitment (channel, id) where settled_at is null and not by_us;

create table commitment_instance (
    commitment bigint not null references commitment on delete cascade,
    place      int    not null,
    sop_uid    text   not null,
    sop_class  text   not null,
    outcome    int,                             -- 0: kept; else the Failure Reason (0008,1197)
    primary key (commitment, place)
);
create index commitment_instance_uid on commitment_instance (sop_uid);

create table available_instance (               -- the newest notice of each instance
    facility     text        not null,
    ae_title     text        not null,          -- who says it
    study_uid    text        not null,
    series_uid   text        not null,
    sop_uid      text        not null,
    sop_class    text        not null,
    availability text        not null,          -- ONLINE | NEARLINE | OFFLINE | UNAVAILABLE
    retrieve_ae  text        not null,
    told_at      timestamptz not null,
    primary key (facility, ae_title, sop_uid)
);
create index available_instance_study on available_instance (study_uid);

create table study_to_announce (                -- became, or grew, since those who are to hear of it were told
    uid      text not null,
    facility text not null,
    channel  text not null,
    primary key (uid, facility)
);

create table notification (
    id              bigint      generated always as identity primary key,
    destination     text        not null,       -- ae:CHANNEL/TITLE, or endpoint:NAME
    operation       text        not null,       -- n-create | n-set | n-action | n-event-report
    sop_class       text        not null,
    sop_uid         text        not null,
    number          int         not null default 0,     -- action or event type
    transfer_syntax text        not null,
    data_set        bytea       not null,
    about           text        not null,       -- `Commitment/…`, `PerformedStep/…`, `Study/…`
    state           text        not null default 'owed',        -- owed | delivered | refused
    attempts        int         not null default 0,
    last_error      text,
    created_at      timestamptz not null,
    next_attempt_at timestamptz not null,
    delivered_at    timestamptz
);
create index notification_owed on notification (destination, id) where state = 'owed';
create index notification_about on notification (about);

-- What was said of a study by those who made it, sent it or keep it too: which instances it has, or how many.
create table announced_instance (
    facility   text        not null,
    study_uid  text        not null,          -- empty: a storage commitment of instances that nobody knows yet
    source     text        not null,          -- mpps, commitment, query
    about      text        not null,          -- the procedure step, the transaction, who was asked
    said_by    text        not null,          -- AE title
    series_uid text        not null,          -- empty: not said
    sop_uid    text        not null,          -- empty: count says how many there are, of the series or of the study
    count      int,
    said_at    timestamptz not null,
    waived_at  timestamptz,                   -- a person said that it will not come
    waived_by  text,
    waived_why text,
    primary key (facility, source, about, study_uid, series_uid, sop_uid)
);
create index announced_of_study on announced_instance (study_uid, facility);

-- Whether a study is whole. Of one whose first objects have not fallen quiet yet there is no row.
create table study_state (
    uid          text        not null,
    facility     text        not null,
    channel      text        not null,
    state        text        not null,              -- receiving, whole, short, late
    since        timestamptz not null,
    look_at      timestamptz,                       -- when it is to be judged; null: when something happens
    whole_at     timestamptz,                       -- the last object when it first counted as whole; later ones are late
    announced    int         not null default 0,    -- instances, as the one that says most of them says
    missing      int         not null default 0,
    missing_uids text[]      not null default '{}', -- the first of them that are known by name
    sources      text[]      not null default '{}', -- who announced something
    asked_at     timestamptz,                       -- when its sender last answered what it has
    primary key (uid, facility)
);
create index study_state_due on study_state (channel, look_at) where look_at is not null;
create index study_state_short on study_state (since) where state = 'short';
create index study_state_since on study_state (since desc, uid, facility);

insert into study_state (uid, facility, channel, state, since, look_at, whole_at)
select uid, facility, channel, 'whole', last_stored_at, null, last_stored_at from study where noticed_revision = revision;

-- What an incident is about, where a name and a number do not say it: instances that are missing.
alter table incident add column details text not null default '';

-- Studies that move from hub to hub. Their bytes are in a folder of the receiver until they are whole.
create table study_transfer (
    name        text        not null,   -- hash of what was announced, the same on both sides
    direction   text        not null,   -- in, out
    peer        text        not null,   -- who sends it to us, or the endpoint that it goes to
    facility    text        not null,
    study_uid   text        not null,
    objects     int         not null,
    total_bytes bigint      not null,
    done_bytes  bigint      not null,
    state       text        not null,   -- moving, whole, refused
    started_at  timestamptz not null,
    updated_at  timestamptz not null,
    primary key (direction, peer, name)
);
create index study_transfer_updated on study_transfer (updated_at);

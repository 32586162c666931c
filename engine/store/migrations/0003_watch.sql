-- What watching needs: finding by patient and by words, dropping a month whole, incidents.

-- ── Parts by month, as the journal has them ──────────────────────────────────────────────────────────────────────────
alter table outcome rename to outcome_default;
alter index outcome_pkey rename to outcome_default_pkey;
create table outcome (like outcome_default including all) partition by range (envelope);
alter table outcome attach partition outcome_default default;

-- The lanes of envelopes that wait no more: from a patient's identifier to everything that came for it.
create table past_lane (
    key       text not null,
    envelope  uuid not null,
    primary key (key, envelope)
) partition by range (envelope);
create table past_lane_default partition of past_lane default;

-- Repeats are forgotten by the month, and a block range index costs an acknowledgment nothing: rows arrive in the
-- order of their envelopes.
create index repeat_guard_envelope on repeat_guard using brin (envelope uuid_minmax_multi_ops)
    with (pages_per_range = 32, autosummarize = on);

-- ── Findings by their words ──────────────────────────────────────────────────────────────────────────────────────────
-- Words in small letters, Chinese characters one by one: they stand without blanks between them.
create function finding_words(text) returns text[]
language sql immutable parallel safe as $$
    select coalesce(array_agg(distinct word[1]), '{}')
    from regexp_matches(left(lower($1), 4000), '[⺀-鿿豈-﫿]|[^[:space:][:punct:]⺀-鿿豈-﫿]+', 'g') word
$$;
create function finding_day(timestamptz) returns int
language sql immutable parallel safe as $$
    select (extract(epoch from $1 at time zone 'UTC')::bigint / 86400)::int
$$;
-- Each word with its day: one template is said of a million messages, and a search for it reads the newest days only.
create function finding_tokens(timestamptz, text) returns text[]
language sql immutable parallel safe as $$
    select coalesce(array_agg(finding_day($1) || ' ' || word), '{}') from unnest(finding_words($2)) word
$$;
create function finding_said(code text, text text, location text, rule text) returns text
language sql immutable parallel safe as $$
    select $1 || ' ' || $2 || ' ' || coalesce($3, '') || ' ' || coalesce($4, '')
$$;
alter table finding add column tokens text[] not null
    generated always as (finding_tokens(found_at, finding_said(code, text, location, rule))) stored;
create index finding_tokens on finding using gin (tokens);
create index finding_found on finding (found_at desc, id desc);
create index finding_error_open on finding (code, channel) where settled_at is null and severity = 'error';

-- ── Incidents: one for each cause, however often it shows itself ─────────────────────────────────────────────────────
create table incident (
    id               uuid        primary key,
    cause            text        not null,      -- kind, subject and code in one: endpoint-away/his, held/his/no-mapping
    kind             text        not null,
    subject          text        not null,      -- the channel, the endpoint, the folder
    code             text        not null,      -- the finding's or the error's, or empty
    severity         text        not null,      -- error | warning
    since            timestamptz not null,      -- when the trouble began, as far as is known
    opened_at        timestamptz not null,
    last_seen_at     timestamptz not null,
    closed_at        timestamptz,
    amount           bigint      not null,      -- how many there are now
    most             bigint      not null,      -- how many there were at worst
    reminders        int         not null default 0,
    next_reminder_at timestamptz,               -- null: nobody is reminded any more
    acknowledged_at  timestamptz,
    acknowledged_by  text,
    acknowledgment   text
);
create unique index incident_open on incident (cause) where closed_at is null;
create index incident_opened on incident (opened_at desc, id desc);

-- One notice to one receiver; it tells of everything that happened since the one before.
create table alert_notice (
    id               uuid        primary key,
    receiver         text        not null,
    created_at       timestamptz not null,
    next_attempt_at  timestamptz not null,
    attempts         int         not null default 0,
    state            text        not null default 'owed',   -- owed | sent | given-up
    events           jsonb       not null,
    last_error       text,
    sent_at          timestamptz
);
create index alert_notice_owed on alert_notice (created_at) where state = 'owed';
create index alert_notice_newest on alert_notice (receiver, created_at desc);

-- What each channel usually does. Counted after the commit, by the one that watches: an acknowledgment waits for none.
create table channel_watch (
    channel        text        primary key,
    watched_since  timestamptz not null,
    last_at        timestamptz              -- of the last message; null: none came since
);
create table channel_day (
    channel           text             not null,
    day               date             not null,   -- of China
    messages          bigint           not null,
    longest_gap_secs  double precision not null,   -- of working time without a message, told of on the day it ended
    primary key (channel, day)
);
create table watch_progress (
    only_row    boolean     primary key default true check (only_row),
    counted_to  timestamptz not null
);

-- ── The newest of many that share a control id ───────────────────────────────────────────────────────────────────────
-- Half of what is sent in the wild says MSG00001: without the id beside it, the newest hundred cost reading them all.
drop index journal_control_id;
create index journal_control_id on journal (control_id, id);
drop index delivery_control_id;
create index delivery_control_id on delivery (control_id, id);

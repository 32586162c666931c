-- What a person does about a message: release, skip, correct, process again; and about a delivery: give it up.

-- An envelope runs in its place. That is its own id, or for a correction the place of the envelope it stands for. It is
-- written by whoever inserts: a generated column costs every message more than all its other columns together.
alter table inbox
    add column taken_place  uuid,
    add column place        uuid,
    add column left_lanes   text[]  not null default '{}',    -- the lanes it gave back when it was held
    add column replayed     boolean not null default false,   -- it was processed before, and is again
    add column redeliver    boolean not null default false,   -- with replayed: what it owes is owed once more
    add column asked_by     text,                             -- who released, corrected or replayed it, and why;
    add column asked_why    text;                             -- null: it runs in its turn, as it came
update inbox set place = envelope;
alter table inbox alter column place set not null;
create index inbox_held on inbox (envelope) where state = 'held';

alter table lane
    add column taken_place  uuid,
    add column place        uuid;
update lane set place = envelope;
alter table lane alter column place set not null;
alter table lane drop constraint lane_pkey;
alter table lane add primary key (key, place);

-- outcome.state may also be: replaced (a correction took its place).
alter table outcome
    add column actor        text,          -- who skipped, replaced or released it, where a person did
    add column reason       text,
    add column replayed_at  timestamptz,   -- when it was last processed again
    add column replayed_by  text;

create table replacement (
    envelope     uuid        primary key,       -- the correction: an envelope of its own in the journal
    replaces     uuid        not null unique,   -- the one it stands for, which stays in the journal as it came
    place        uuid        not null,          -- of the first one, where a correction was corrected again
    replaced_at  timestamptz not null,
    actor        text        not null,
    reason       text        not null
);

-- delivery.state may also be: given-up.
alter table delivery
    add column given_up_at  timestamptz,
    add column given_up_by  text,
    add column given_up_why text;
create index delivery_refused on delivery (endpoint, id) where state = 'refused';

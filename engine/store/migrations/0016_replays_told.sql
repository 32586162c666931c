-- A replay says what it came to, message by message; and what is found again and again is one finding with a count.

alter table inbox add column replay_run uuid;              -- with replayed: which run of `hutong replay` asked for it
alter table outcome add column replay_run uuid;
alter table outcome add column replay jsonb;               -- what the last replay came to: engine/recording/replayed.py
create index outcome_replay_run on outcome (replay_run, envelope) where replay_run is not null;

alter table finding add column same uuid;                  -- equal for one doubt about one value of one patient
alter table finding add column times int not null default 1;
alter table finding add column first_found_at timestamptz; -- where it was found more than once; found_at is the last time
create index finding_same on finding (same) where same is not null;
create unique index finding_same_open on finding (same) where same is not null and settled_at is null;

-- finding.envelope is the last one in which it was found; these are those before.
create table finding_earlier (
    envelope uuid not null,
    finding  uuid not null,
    primary key (envelope, finding)
);
create index finding_earlier_finding on finding_earlier (finding);

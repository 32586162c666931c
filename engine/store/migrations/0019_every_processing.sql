-- Every time an envelope was processed stays known. `outcome` says how it ended the last time; what it said before that,
-- and replays that came to nothing, stand here. What each time wrote is told by the versions: their envelope, their time.

alter table outcome add column replayed_why text;   -- the reason that replayed_by gave

create table outcome_earlier (
    envelope    uuid        not null,
    ended_at    timestamptz not null,
    state       text        not null,                 -- as in outcome; or replay-refused: nothing was written then
    mapping     text,
    resources   jsonb       not null default '[]',    -- what it wrote or found to be so already
    unmapped    text[]      not null default '{}',
    actor       text,                                 -- whoever released, skipped, corrected or replayed it, and why
    reason      text,
    replay_run  uuid,
    replay      jsonb                                 -- what a replay came to: engine/recording/replayed.py
);
create index outcome_earlier_envelope on outcome_earlier (envelope);
create index outcome_earlier_run on outcome_earlier (replay_run, envelope) where replay_run is not null;

-- A replay that came to nothing was told in the row of what stayed, and without its time.
insert into outcome_earlier (envelope, ended_at, state, actor, replay_run, replay)
select o.envelope, coalesce(
           (select max(f.found_at) from finding f where f.envelope = o.envelope and f.code = 'replay-refused'),
           o.replayed_at, o.finished_at
       ), 'replay-refused', o.replayed_by, o.replay_run, o.replay
from outcome o where o.replay_run is not null and o.replay ? 'refused';
update outcome set replay_run = null, replay = null where replay_run is not null and replay ? 'refused';

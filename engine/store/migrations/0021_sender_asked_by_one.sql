-- Of several processes one asks the sender of a study what it has; until then, should it not come back.
alter table study_state add column asking_until timestamptz;

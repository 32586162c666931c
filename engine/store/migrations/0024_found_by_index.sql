-- In which studies something is missing that has come in another one, and how many senders are being asked now. What is
-- missing is looked up once for each instance that comes: each look would read a list of what is not yet in its place.
create index study_state_missing on study_state using gin (missing_uids)
    with (fastupdate = off) where missing_uids <> '{}';
create index study_state_asking on study_state (channel) where asking_until is not null;

-- In which studies something is missing that has come in another one, and how many senders are being asked now.
create index study_state_missing on study_state using gin (missing_uids) where missing_uids <> '{}';
create index study_state_asking on study_state (channel) where asking_until is not null;

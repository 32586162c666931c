-- Studies that are receiving, short or late are looked at again and again, and are few among all that there are.
create index study_state_unsettled on study_state (uid, facility) where state <> 'whole';

create index study_transfer_study on study_transfer (study_uid, facility);

-- What imaging systems are owed: the same outbox, the most urgent first, and which objects of a study each has taken.
alter table delivery add column priority smallint;         -- null: not for an imaging system; lower goes first
create index delivery_by_priority on delivery (endpoint, priority, id) where state = 'owed' and priority is not null;

create table sent_instance (
    endpoint  text        not null,
    study_uid text        not null,
    facility  text        not null,
    sop_uid   text        not null,
    sha256    bytea       not null,
    delivery  uuid        not null,
    status    int         not null,         -- as it was answered; -1: it was not offered
    taken     boolean     not null,
    note      text        not null,
    at        timestamptz not null,
    primary key (endpoint, study_uid, facility, sop_uid, sha256)
);

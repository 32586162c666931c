-- What whole protocols need: numbered messages, and the domains that identifiers are asked for by.

-- The number of the last message accepted, for each sender of a channel that numbers its messages (MSH-13).
create table sequence_number (
    channel  text not null,
    sender   text not null,     -- MSH-3 and MSH-4
    last     bigint,            -- null: whatever comes next is the first
    primary key (channel, sender)
);

-- Every system of a patient identifier that was ever recorded: whether a domain is known is asked with each query.
create table identifier_domain (
    system text primary key
);
insert into identifier_domain
select distinct identifier ->> 'system'
from resource, jsonb_array_elements(body -> 'identifier') identifier
where type = 'Patient' and jsonb_typeof(body -> 'identifier') = 'array' and identifier ->> 'system' is not null
on conflict do nothing;

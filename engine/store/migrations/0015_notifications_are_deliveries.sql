-- What application entities are owed to hear stands in the outbox, with everything else that is owed: it is seen, tried
-- again and given up in the same place. Its destination is an endpoint, by its name, or ae:CHANNEL/TITLE.

alter table delivery add column notifies boolean not null default false;    -- the payload is a message of an N-service
create index delivery_notifies on delivery (endpoint, id) where state = 'owed' and notifies;
create sequence notification_place;     -- orders what is owed within one millisecond, whichever process owes it

update commitment set other = substr(other, 10) where other like 'endpoint:%';

insert into delivery (id, endpoint, control_id, payload, state, attempts, next_attempt_at, created_at, about, route,
                      last_error, delivered_at, notifies)
select (lpad(to_hex((extract(epoch from max(n.created_at) over (order by n.id)) * 1000)::bigint), 12, '0')
            || '70008' || lpad(to_hex(nextval('notification_place')), 15, '0'))::uuid,
       regexp_replace(n.destination, '^endpoint:', ''),
       case when n.about like 'PerformedStep/%' then n.sop_uid else split_part(n.about, '/', 2) end,
       convert_to(jsonb_build_object(
           'operation', n.operation, 'sop_class', n.sop_class, 'sop_uid', n.sop_uid, 'number', n.number,
           'transfer_syntax', n.transfer_syntax,
           'data_set', translate(encode(n.data_set, 'base64'), E'\n', ''))::text, 'UTF8'),
       n.state, n.attempts, n.next_attempt_at, n.created_at, n.about,
       case split_part(n.about, '/', 1) when 'PerformedStep' then 'performed_steps_of'
                                        when 'Study' then 'availability_of' else 'storage-commitment' end,
       n.last_error, n.delivered_at, true
from (select * from notification order by id) n;

update finding set code = 'delivery-refused', severity = 'error'
where code = 'notification-refused' and settled_at is null;

drop table notification;

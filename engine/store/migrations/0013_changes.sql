-- Who remembers a row for a moment has to hear when it changes; rows that are added change nothing that was read.
create function tell_of_change() returns trigger language plpgsql as $$
begin
    perform pg_notify(tg_argv[0], '');
    return null;
end
$$;
create trigger access_token_changed after update or delete on access_token
    for each statement execute function tell_of_change('access_token_changed');
create trigger instance_changed after update or delete on instance
    for each statement execute function tell_of_change('instance_changed');

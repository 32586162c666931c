-- How far rows that were written before have got the tokens by which their resources are searched today.
create table search_completion (
    rules        int         primary key,   -- the version of the rules that make tokens
    after_type   text        not null,      -- rows up to this one have been looked at
    after_id     text        not null,
    finished_at  timestamptz
);

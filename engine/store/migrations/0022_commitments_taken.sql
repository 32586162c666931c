-- Several processes serve one channel: a request is settled by the one that took it, until that has ended.
alter table commitment
    add column taken_by    int,                         -- which process of the channel; none of those that were before
    add column times_taken int not null default 1;      -- who took it last settles it

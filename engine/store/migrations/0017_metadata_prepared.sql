-- Studies of which other objects are served than before, until the web side has prepared their metadata.
create table study_to_prepare (
    uid   text        primary key,
    since timestamptz not null
);

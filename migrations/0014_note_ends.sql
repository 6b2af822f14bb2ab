-- migrate:up

-- A record is convicted by the processes that ended with exactly it in hand, so each of them is noted; what was noted
-- before does not say who it was, and counts no more.
delete from consumer_marks;
alter table consumer_marks
    add column owner uuid,
    add column careful_until bigint check (careful_until > start_offset);
comment on table consumer_marks is
    'Where a consumer took a partition up and how often processes ended there: finds the record that kills the process.';
comment on column consumer_marks.owner is 'the process that works there; null: it let go';
comment on column consumer_marks.careful_until is 'records before this offset are touched one by one';
comment on column consumer_marks.probing_offset is 'the record that the owner has in hand, alone';

create table consumer_ends (
    topic text not null check (length(topic) <= 249),
    partition integer not null check (partition >= 0),
    "offset" bigint not null check ("offset" >= 0),
    owner uuid not null,
    noted_at timestamptz not null default now(),
    primary key (topic, partition, "offset", owner)
);
comment on table consumer_ends is
    'Which processes ended by themselves with exactly this record in hand; two of them convict it.';
create index consumer_ends_owner on consumer_ends (owner);

-- migrate:down

drop table consumer_ends;
alter table consumer_marks drop column careful_until, drop column owner;
comment on table consumer_marks is
    'Where a consumer started and how often it ended uncleanly there: finds the record that kills the process.';
comment on column consumer_marks.probing_offset is null;

-- migrate:up

-- How far each partition was processed, as this database knows it. A database that is older than Kafka (restored from a
-- copy, or a replica that was promoted without the last transactions) is found by it, and what it lacks is read again.
create table consumer_offsets (
    topic text not null check (length(topic) <= 249),
    partition integer not null check (partition >= 0),
    next_offset bigint not null check (next_offset >= 0),
    updated_at timestamptz not null default clock_timestamp(),
    primary key (topic, partition)
) with (fillfactor = 50);
comment on table consumer_offsets is
    'Everything of a partition before next_offset is in this database; written before the same is committed to Kafka.';

-- Versions of a payment count within an epoch: after a restore the same version may be given again, to other contents.
create table epochs (
    epoch bigint primary key check (epoch > 0),
    timeline bigint not null check (timeline > 0),
    because text not null check (length(because) between 1 and 200),
    began_at timestamptz not null default clock_timestamp()
);
comment on table epochs is
    'When versions began to count anew, and why; the largest counts, and stands in payments.changes. Seconds since 1970, so that a copy that is restored twice gives two.';
comment on column epochs.timeline is 'Postgres'' timeline: another one is a promoted replica or a recovery to a point in time';
insert into epochs (epoch, timeline, because)
select
    extract(epoch from clock_timestamp())::bigint,
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint,
    'the first';

-- migrate:down

drop table epochs;
drop table consumer_offsets;

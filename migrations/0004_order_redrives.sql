-- migrate:up

create table redrives (
    id bigint generated always as identity primary key,
    requested_by text not null check (length(requested_by) between 1 and 128),
    filter jsonb not null check (jsonb_typeof(filter) = 'object'),
    target_topic text check (length(target_topic) between 1 and 249),
    rate_per_second double precision not null check (rate_per_second > 0),
    messages_max bigint check (messages_max > 0),
    policy text not null check (policy in ('stop_on_failures', 'keep_going')),
    failure_ratio_max double precision not null check (failure_ratio_max > 0 and failure_ratio_max <= 1),
    failures_min bigint not null check (failures_min > 0),
    forced boolean not null,
    status text not null default 'queued' check (status in ('queued', 'running', 'done', 'stopped', 'failed')),
    matched bigint not null check (matched >= 0),
    selected bigint not null check (selected > 0 and selected <= matched),
    published bigint not null default 0 check (published >= 0),
    skipped bigint not null default 0 check (skipped >= 0),
    failed bigint not null default 0 check (failed >= 0),
    published_before bigint not null default 0 check (published_before between 0 and published),
    failed_before bigint not null default 0 check (failed_before between 0 and failed),
    stop_requested_by text check (length(stop_requested_by) between 1 and 128),
    stop_reason text check (length(stop_reason) <= 500),
    created_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    updated_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    constraint redrives_within_selection check (published + skipped <= selected),
    constraint redrives_done_is_whole check (status <> 'done' or published + skipped = selected),
    constraint redrives_ended check ((status in ('done', 'stopped', 'failed')) = (ended_at is not null)),
    constraint redrives_started check (started_at is not null or published + skipped = 0)
);
comment on table redrives is 'Orders to publish dead letters once more: people write them, the relay carries them out.';
comment on column redrives.matched is 'open letters that fitted the filter when it was ordered; selected of them are to go';
comment on column redrives.failed is
    'letters that came back as new ones although the dry run said they would not; as of the relay''s last look';
comment on column redrives.published_before is
    'published and failed when it was last resumed: what is forgiven does not stop it again';
create index redrives_open on redrives (id) where status in ('queued', 'running');

create table redrive_messages (
    redrive_id bigint not null references redrives (id),
    dead_letter_id bigint not null references dead_letters (id),
    would text not null check (would in ('apply', 'noop', 'illegal', 'orphan')),
    status text not null default 'queued' check (status in ('queued', 'publishing', 'published', 'skipped')),
    detail text check (length(detail) <= 500),
    claimed_at timestamptz,
    published_at timestamptz,
    primary key (redrive_id, dead_letter_id),
    constraint redrive_messages_claimed check ((status in ('publishing', 'published')) = (claimed_at is not null)),
    constraint redrive_messages_published check ((status = 'published') = (published_at is not null)),
    constraint redrive_messages_skipped check ((status = 'skipped') <= (detail is not null))
);
comment on table redrive_messages is 'The audit of redrives, one row a letter: what was foreseen, what was done, when.';
comment on column redrive_messages.status is
    'publishing: the letter is marked redriven and its record may or may not be in Kafka; it is published (again) next';
create index redrive_messages_to_do on redrive_messages (redrive_id, status, dead_letter_id)
    where status in ('queued', 'publishing');
create unique index redrive_messages_once on redrive_messages (dead_letter_id)
    where status in ('publishing', 'published');

create table discards (
    dead_letter_id bigint primary key references dead_letters (id),
    discarded_by text not null check (length(discarded_by) between 1 and 128),
    because text not null check (length(because) between 1 and 500),
    discarded_at timestamptz not null default clock_timestamp()
);
comment on table discards is 'Who gave a dead letter up, why and when. The letter''s bytes stay.';

create table dlq_positions (
    partition integer primary key check (partition >= 0),
    next_offset bigint not null check (next_offset >= 0),
    updated_at timestamptz not null default clock_timestamp()
);
comment on table dlq_positions is 'How far payments.dlq was looked through for letters that other tools put there.';

create index dead_letters_returned on dead_letters (digest) where redrive_count > 0;

create view redrive_returns as
select m.redrive_id, m.dead_letter_id, m.would, again.id as returned_id, again.reason
from redrive_messages m
join dead_letters old on old.id = m.dead_letter_id
cross join lateral (
    select a.id, a.reason
    from dead_letters a
    where a.digest = old.digest
        and a.redrive_count = old.redrive_count + 1
        and a.redrive_count > 0
        and a.id > old.id
        and a.source is not distinct from old.source
        and a.event_id is not distinct from old.event_id
    order by a.id
    limit 1
) as again
where m.status in ('publishing', 'published');
comment on view redrive_returns is 'Redriven letters that failed anew, and the letter that each came back as.';

-- relay_xid 1 is below every transaction's id: letters read back from payments.dlq bear it and count as published.
update relay_cursors
set relay_xid = 1, id = 9223372036854775807
where name = 'dead_letters' and relay_xid = 0;

-- migrate:down

drop view redrive_returns;
drop index dead_letters_returned;
drop table dlq_positions, discards, redrive_messages, redrives;

-- migrate:up

create table outcome_counts (
    seconds integer not null check (seconds in (60, 600, 3600)),
    began_at timestamptz not null,
    provider text not null check (length(provider) <= 192),
    outcome text not null check (
        outcome in ('applied', 'noop', 'late', 'conflict', 'parked', 'dead_letter', 'refused')
    ),
    detail text not null check (length(detail) <= 64),
    events bigint not null check (events > 0),
    primary key (seconds, began_at, provider, outcome, detail)
);
comment on table outcome_counts is 'What became of events, counted by the console: a row a stretch of time, provider, outcome and reason.';
comment on column outcome_counts.seconds is 'how long the stretch is; the shorter ones are kept for a day, hours for a week';
comment on column outcome_counts.detail is 'the reason of a dead letter, of a parked event or of a refusal; empty for the others';

create table outcome_cursors (
    only_one boolean primary key default true check (only_one),
    ledger_xid bigint not null default 0 check (ledger_xid >= 0),
    ledger_id bigint not null default 0 check (ledger_id >= 0),
    letters_xid bigint not null default 0 check (letters_xid >= 0),
    letters_id bigint not null default 0 check (letters_id >= 0),
    parked_id bigint not null default 0 check (parked_id >= 0)
);
comment on table outcome_cursors is 'How far outcome_counts has counted; whoever holds the row counts on. What stood before it was made is not counted.';
insert into outcome_cursors (ledger_xid, ledger_id, letters_xid, letters_id, parked_id)
select
    coalesce((select relay_xid from payment_logs order by relay_xid desc, id desc limit 1), 0),
    coalesce((select id from payment_logs order by relay_xid desc, id desc limit 1), 0),
    coalesce((select relay_xid from dead_letters order by relay_xid desc, id desc limit 1), 0),
    coalesce((select id from dead_letters order by relay_xid desc, id desc limit 1), 0),
    coalesce((select max(id) from parked_events), 0);

-- migrate:down

drop table outcome_cursors;
drop table outcome_counts;

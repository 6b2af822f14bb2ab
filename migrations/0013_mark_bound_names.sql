-- migrate:up

-- Who waits is woken in transactions of its own, after the batch that bound the name: a crash in between must lose nothing.
create table wake_marks (
    id bigint generated always as identity unique,
    provider text not null,
    account text not null,
    merchant_account text not null,
    livemode boolean not null,
    kind text not null,
    ref text not null,
    after_id bigint not null default 0,
    marked_at timestamptz not null default now(),
    primary key (ref, kind, provider, account, merchant_account, livemode)
);
comment on table wake_marks is 'Names that were bound while parked events waited on them, until those are woken.';
comment on column wake_marks.after_id is 'parked events up to this id have been woken';

-- A parked event could have been woken by more than a name before this migration: all of them are looked at once.
insert into wake_marks (provider, account, merchant_account, livemode, kind, ref)
select distinct w.provider, w.account, w.merchant_account, w.livemode, w.kind, w.ref
from parked_refs w
join payment_refs r using (provider, account, merchant_account, livemode, kind, ref)
where r.payment_id is not null;

-- migrate:down

drop table wake_marks;

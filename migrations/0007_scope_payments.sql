-- migrate:up

do $$
begin
    if exists (select from payments) or exists (select from payment_refs) or exists (select from payment_logs)
        or exists (select from parked_events) then
        raise exception 'this ledger has rows of before payments had a merchant account and a mode: they can''t be told apart any more'
            using hint = 'no version that wrote them was released; begin with an empty database, or a new RATCHET_HOME';
    end if;
end
$$;

-- Whose money: a name lives in its scope of provider, account, merchant account and mode.
alter table payments
    add column merchant_account text not null default '' check (length(merchant_account) <= 255),
    add column livemode boolean not null default true,
    add column intent_id uuid references payments (id) check (intent_id <> id),
    add column metadata jsonb check (jsonb_typeof(metadata) = 'object'),
    add column flags text[] not null default '{}';
comment on column payments.flags is 'what does not add up, as the facts say it; empty where all does';
comment on column payments.merchant_account is
    'the merchant account that the body names under its signature (of an intent: that it asked for); empty where none';
comment on column payments.livemode is 'false: test money, which never mixes with live and is left out of sums';
comment on column payments.intent_id is
    'of an attempt: the intent''s payment that has adopted it. Rows without merged_into and intent_id add up to all money';
comment on column payments.metadata is 'what the client noted on its intent';
create index payments_intent on payments (intent_id) where intent_id is not null;
drop index payments_client_reference;
create index payments_reference on payments (reference) where reference is not null;

alter table parked_refs drop constraint parked_refs_provider_account_kind_ref_fkey;
alter table parked_refs drop constraint parked_refs_pkey;
alter table parked_refs
    add column merchant_account text not null,
    add column livemode boolean not null;
alter table payment_refs drop constraint payment_refs_pkey;
alter table payment_refs drop constraint payment_refs_kind_check;
alter table payment_refs
    add column merchant_account text not null check (length(merchant_account) <= 255),
    add column livemode boolean not null,
    add constraint payment_refs_kind_check check (
        kind in ('id', 'payment', 'charge', 'capture', 'refund', 'dispute', 'session', 'reference')),
    add primary key (ref, kind, provider, account, merchant_account, livemode);
comment on table payment_refs is
    'Names that belong to one payment alone, and the lock that orders batches; payment_id is null until it is known. '
    'A merchant''s own reference (kind reference, no merchant_account) is the lock of its group; payment_id: its newest promise.';
alter table parked_refs
    add primary key (ref, kind, provider, account, merchant_account, livemode, parked_id),
    add constraint parked_refs_name_fkey foreign key (ref, kind, provider, account, merchant_account, livemode)
        references payment_refs (ref, kind, provider, account, merchant_account, livemode);

create table reference_payments (
    provider text not null check (length(provider) between 1 and 64),
    account text not null check (length(account) <= 64),
    livemode boolean not null,
    kind text not null check (kind in ('reference', 'shared')),
    ref text not null check (length(ref) between 1 and 255),
    payment_id uuid not null references payments (id),
    promise integer check (promise > 0),
    groups boolean not null default false,
    constraint reference_payments_group_is_promised check (not groups or promise is not null),
    constraint reference_payments_promise_is_a_reference check (promise is null or kind = 'reference'),
    primary key (ref, kind, provider, account, livemode, payment_id)
);
comment on table reference_payments is
    'Which payments stand under a merchant''s own reference, or under a provider''s id that many payments share. Joins nothing.';
comment on column reference_payments.promise is
    'of an intent that claimed the reference: the how many-th promise it is. Null of all others';
comment on column reference_payments.groups is 'the promise adopts attempts: its intent named no payment of the provider';
create index reference_payments_payment on reference_payments (payment_id);
-- Whether anybody promised anything is asked for each batch.
create index reference_payments_promise on reference_payments (promise) where promise is not null;

-- migrate:down

drop table reference_payments;
alter table parked_refs drop constraint parked_refs_name_fkey;
alter table parked_refs drop constraint parked_refs_pkey;
alter table parked_refs drop column merchant_account, drop column livemode;
alter table payment_refs drop constraint payment_refs_pkey;
alter table payment_refs drop constraint payment_refs_kind_check;
alter table payment_refs drop column merchant_account, drop column livemode;
alter table payment_refs
    add constraint payment_refs_kind_check check (
        kind in ('id', 'payment', 'charge', 'capture', 'refund', 'dispute', 'reference')),
    add primary key (ref, kind, provider, account);
alter table parked_refs add primary key (ref, kind, provider, account, parked_id);
alter table parked_refs add foreign key (provider, account, kind, ref)
    references payment_refs (provider, account, kind, ref);
drop index payments_reference;
create unique index payments_client_reference on payments (client, reference)
    where client is not null and reference is not null and merged_into is null;
drop index payments_intent;
alter table payments drop column merchant_account, drop column livemode, drop column intent_id, drop column metadata,
    drop column flags;

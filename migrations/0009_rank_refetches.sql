-- migrate:up

-- One row a payment, however often it is asked about: what the table holds is bounded by the payments that there are
-- and by the bounds of refetch settings, not by how many hints come.
delete from refetches
where
    status <> 'queued'
    and exists (
        select from refetches as other
        where (other.ref, other.provider, other.account) = (refetches.ref, refetches.provider, refetches.account)
            and (other.status = 'queued' or other.id > refetches.id)
    );
drop index refetches_open;
drop index refetches_due;
alter table refetches add column known boolean not null default true;
comment on column refetches.known is
    'whether a payment or an intent had this id when it was asked about; anybody can make up the ids that none has';
alter table refetches add column priority smallint not null default 0 check (priority >= 0);
comment on column refetches.priority is
    'smaller goes first: 0 contradictions, 1 hints of what is known, 5 what was not heard of for long, 9 the unknown';
alter table refetches drop constraint refetches_reason_check;
alter table refetches add constraint refetches_reason_check check (reason in ('hint', 'contradiction', 'stale'));
alter table refetches add constraint refetches_payment unique (ref, provider, account);
create index refetches_due on refetches (priority, next_attempt_at) where status = 'queued';
create index refetches_waiting on refetches (provider, account, known) where status = 'queued';
create index refetches_unknown_failed on refetches (updated_at) where status = 'failed' and not known;
comment on table refetches is
    'Payments whose provider must be asked again: unsigned hints, contradictions, and what was not heard of for long.';

-- A reference is unique in its scope among promises that are live: whether one is, its payment says.
alter table intent_claims add column merchant_account text check (length(merchant_account) <= 255);
alter table intent_claims add column livemode boolean;
drop index intent_claims_reference;
create index intent_claims_reference on intent_claims (reference, provider, account)
    where command = 'create' and reference is not null;
create index intent_claims_named on intent_claims (provider_ref, provider, account)
    where command = 'create' and provider_ref is not null;

-- migrate:down

drop index intent_claims_named;
drop index intent_claims_reference;
create unique index intent_claims_reference on intent_claims (client, reference)
    where command = 'create' and reference is not null;
alter table intent_claims drop column livemode, drop column merchant_account;
comment on table refetches is 'Payments whose provider must be asked again: unsigned hints and contradictions.';
drop index refetches_unknown_failed;
drop index refetches_waiting;
drop index refetches_due;
alter table refetches drop constraint refetches_payment;
alter table refetches drop constraint refetches_reason_check;
delete from refetches where reason = 'stale';
alter table refetches add constraint refetches_reason_check check (reason in ('hint', 'contradiction'));
alter table refetches drop column priority, drop column known;
create unique index refetches_open on refetches (provider, account, ref) where status = 'queued';
create index refetches_due on refetches (next_attempt_at) where status = 'queued';

-- migrate:up

create table intent_claims (
    client text not null check (length(client) between 1 and 64),
    idempotency_key uuid not null,
    fingerprint bytea not null check (length(fingerprint) = 32),
    command text not null check (command in ('create', 'capture', 'cancel', 'refund')),
    payment_id uuid not null,
    event_id text not null check (length(event_id) between 1 and 400),
    record_key text not null check (length(record_key) between 1 and 255),
    provider text check (length(provider) between 1 and 64),
    account text check (length(account) <= 64),
    reference text check (length(reference) between 1 and 255),
    provider_ref text check (length(provider_ref) between 1 and 255),
    currency text check (currency ~ '^[A-Z]{3}$'),
    amount bigint check (amount > 0),
    seen bigint check (seen >= 0),
    answer bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    primary key (client, idempotency_key),
    constraint intent_claims_create_is_whole check (
        (command = 'create') = (provider is not null and account is not null)
        and (command <> 'create' or (currency is not null and amount is not null))),
    constraint intent_claims_lasts_a_day check (expires_at >= created_at + interval '23 hours 59 minutes')
);
comment on table intent_claims is
    'What clients asked for, by Idempotency-Key, with the answer they got: written with the event in the spool, or not at all.';
comment on column intent_claims.fingerprint is 'SHA-256 of command, payment and body: the same key for another request is refused';
comment on column intent_claims.record_key is 'the Kafka key of all records of the payment that the API publishes';
comment on column intent_claims.seen is
    'of a capture or refund: what the payment''s facts showed of its kind when it was asked for, in minor units';
create unique index intent_claims_payment on intent_claims (payment_id) where command = 'create';
create unique index intent_claims_reference on intent_claims (client, reference)
    where command = 'create' and reference is not null;
create unique index intent_claims_provider_ref on intent_claims (client, provider, account, provider_ref)
    where command = 'create' and provider_ref is not null;
create index intent_claims_asked on intent_claims (payment_id, created_at) where command <> 'create';
create index intent_claims_expiry on intent_claims (expires_at);

-- A client's timeline reads the rows of what was merged into its payment.
create index payments_merged_into on payments (merged_into) where merged_into is not null;

-- migrate:down

drop index payments_merged_into;
drop table intent_claims;

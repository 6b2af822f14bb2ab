-- migrate:up

-- Commands that the consumer has checked under the payment's lock: what the relay publishes on payments.commands, and
-- what became of it. One that found no room is here too, refused, and is never published.
create table commands (
    id bigint generated always as identity primary key,
    payment_id uuid not null,
    command_id text not null check (length(command_id) between 1 and 400),
    client text not null check (length(client) between 1 and 64),
    command text not null check (command in ('capture', 'cancel', 'refund')),
    attempt_id uuid not null,
    provider text not null check (length(provider) between 1 and 64),
    account text not null check (length(account) <= 64),
    merchant_account text not null check (length(merchant_account) <= 255),
    livemode boolean not null,
    provider_ref text check (length(provider_ref) <= 255),
    reference text check (length(reference) <= 255),
    currency text check (currency ~ '^[A-Z]{3}$'),
    amount bigint check (amount > 0),
    seen bigint check (seen >= 0),
    reason text check (length(reason) <= 255),
    metadata jsonb check (jsonb_typeof(metadata) = 'object'),
    traceparent text check (length(traceparent) <= 255),
    state text check (state in ('accepted', 'refused', 'done')),
    refusal text check (length(refusal) <= 255),
    asked_at timestamptz not null,
    expires_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    relay_xid bigint not null check (relay_xid > 0),
    unique (payment_id, command_id),
    constraint commands_expire_after_they_were_asked check (expires_at > asked_at),
    constraint commands_of_money_have_an_amount check (state is not null or (command = 'cancel') = (amount is null)),
    constraint commands_refusal_is_of_a_refused check (refusal is null or state = 'refused')
);
create index commands_relay on commands (relay_xid, id);
create index commands_unanswered on commands (expires_at) where state is null or state = 'accepted';
comment on table commands is 'Commands of clients that were checked, as payments.commands has them, and what became of each.';
comment on column commands.command_id is 'the command''s event id, and the provider''s idempotency key';
comment on column commands.attempt_id is 'the payment at the provider that it is for; it stays when adoption changes';
comment on column commands.seen is 'of a capture or refund: what the attempt''s facts showed of its kind when it was checked, in minor units';
comment on column commands.state is 'what its executor answered last; null while nobody did. Refused also where the consumer found no room';
comment on column commands.expires_at is 'nobody begins it later; a grace period after that silence frees its money';
comment on column commands.relay_xid is 'that of the command''s ledger row: relay order is (relay_xid, id), which is the order of a payment''s commands';

alter table relay_cursors drop constraint relay_cursors_name_check;
alter table relay_cursors add check (name in ('changes', 'dead_letters', 'state', 'commands'));
insert into relay_cursors (name, system_identifier)
select 'commands', system_identifier from relay_cursors where name = 'changes';

alter table intent_claims add attempt_id uuid;
comment on column intent_claims.attempt_id is 'of a command: the payment at the provider that it is for';

-- migrate:down

alter table intent_claims drop attempt_id;
delete from relay_cursors where name = 'commands';
alter table relay_cursors drop constraint relay_cursors_name_check;
alter table relay_cursors add check (name in ('changes', 'dead_letters', 'state'));
drop table commands;

-- migrate:up

create table payments (
    id uuid primary key,
    provider text not null check (length(provider) between 1 and 64),
    account text not null check (length(account) <= 64),
    provider_ref text check (length(provider_ref) between 1 and 255),
    client text check (length(client) between 1 and 64),
    reference text check (length(reference) between 1 and 255),
    merged_into uuid references payments (id) check (merged_into <> id),
    status text not null check (status in (
        'created', 'requires_action', 'processing', 'authorized', 'partially_captured', 'captured',
        'failed', 'canceled', 'expired')),
    refund_status text not null check (refund_status in ('none', 'pending', 'partial', 'full')),
    dispute_status text not null check (dispute_status in (
        'none', 'inquiry', 'open', 'under_review', 'won', 'lost', 'prevented')),
    currency text check (currency ~ '^[A-Z]{3}$'),
    amount bigint not null check (amount >= 0),
    authorized bigint not null check (authorized >= 0),
    captured bigint not null check (captured >= 0),
    refunded bigint not null check (refunded >= 0),
    disputed bigint not null check (disputed >= 0),
    version bigint not null check (version >= 0),
    facts jsonb not null check (jsonb_typeof(facts) = 'object'),
    head_hash bytea not null check (length(head_hash) in (0, 32)),
    head_xid bigint not null check (head_xid >= 0),
    created_at timestamptz not null,
    updated_at timestamptz not null check (updated_at >= created_at),
    constraint payments_captured_within_authorized check (captured <= authorized),
    constraint payments_refunded_within_captured check (refunded <= captured)
) with (fillfactor = 70);
comment on table payments is 'One row a payment: what its facts come to. No index on columns that every event changes.';
comment on column payments.facts is '{"kind:key": [state, amount or null]}: the join of all facts of the ledger';
comment on column payments.head_hash is 'hash of the payment''s newest ledger row';
comment on column payments.head_xid is 'relay_xid of the payment''s newest ledger row';

-- A client's reference names one payment; a merged row gives its own up.
create unique index payments_client_reference on payments (client, reference)
    where client is not null and reference is not null and merged_into is null;

create table payment_refs (
    provider text not null check (length(provider) between 1 and 64),
    account text not null check (length(account) <= 64),
    kind text not null check (kind in ('id', 'payment', 'charge', 'capture', 'refund', 'dispute', 'reference')),
    ref text not null check (length(ref) between 1 and 255),
    payment_id uuid references payments (id) deferrable initially deferred,
    primary key (provider, account, kind, ref)
) with (fillfactor = 80);
comment on table payment_refs is
    'Every name of every payment; also the lock that orders batches. payment_id is null until the payment is known.';
create index payment_refs_payment on payment_refs (payment_id) where payment_id is not null;
create index payment_refs_ref on payment_refs (ref);

create table payment_logs (
    id bigint generated always as identity,
    payment_id uuid,
    source text not null check (length(source) between 1 and 192),
    event_id text not null check (length(event_id) between 1 and 400),
    event_type text not null check (length(event_type) <= 255),
    outcome text not null check (outcome in ('applied', 'noop', 'late', 'conflict')),
    from_status text check (from_status in (
        'created', 'requires_action', 'processing', 'authorized', 'partially_captured', 'captured',
        'failed', 'canceled', 'expired')),
    to_status text check (to_status in (
        'created', 'requires_action', 'processing', 'authorized', 'partially_captured', 'captured',
        'failed', 'canceled', 'expired')),
    amount bigint check (amount >= 0),
    version bigint check (version > 0),
    facts jsonb not null check (jsonb_typeof(facts) = 'array'),
    topic text not null check (length(topic) <= 249),
    partition integer not null check (partition >= 0),
    "offset" bigint not null check ("offset" >= 0),
    occurred_at timestamptz,
    recorded_at timestamptz not null,
    relay_xid bigint not null check (relay_xid > 0),
    hash bytea not null check (length(hash) = 32),
    constraint payment_logs_version_needs_payment check (version is null or payment_id is not null),
    constraint payment_logs_applied_has_version check (outcome <> 'applied' or version is not null),
    primary key (relay_xid, id),
    constraint payment_logs_claim unique (source, event_id)
);
comment on table payment_logs is
    'The ledger: idempotency claim, audit row and outbox row in one. Never updated, never deleted by the application.';
comment on column payment_logs.relay_xid is
    'The writing transaction''s id, but never below that of the payment''s row before: relay order is (relay_xid, id)';
comment on column payment_logs.version is 'the payment''s version after this row; null where it changed nothing';
create index payment_logs_timeline on payment_logs (payment_id, id) where payment_id is not null;

create table parked_events (
    id bigint generated always as identity primary key,
    source text not null check (length(source) between 1 and 192),
    event_id text not null check (length(event_id) between 1 and 400),
    event_type text not null check (length(event_type) <= 255),
    reason text not null check (reason in ('orphan', 'conflict')),
    detail text not null check (length(detail) <= 1000),
    facts jsonb not null check (jsonb_typeof(facts) = 'array'),
    topic text not null check (length(topic) <= 249),
    partition integer not null check (partition >= 0),
    "offset" bigint not null check ("offset" >= 0),
    timestamp_ms bigint not null,
    key bytea,
    value bytea,
    header_names bytea[] not null,
    header_values bytea[] not null,
    parked_at timestamptz not null,
    deadline timestamptz not null check (deadline >= parked_at),
    constraint parked_events_claim unique (source, event_id),
    constraint parked_events_headers_pair check (cardinality(header_names) = cardinality(header_values))
);
comment on table parked_events is
    'Events that wait for their payment, byte for byte. reason is what they become past the deadline.';
create index parked_events_deadline on parked_events (deadline);

create table parked_refs (
    provider text not null,
    account text not null,
    kind text not null,
    ref text not null,
    parked_id bigint not null references parked_events (id) on delete cascade,
    primary key (provider, account, kind, ref, parked_id),
    foreign key (provider, account, kind, ref) references payment_refs (provider, account, kind, ref)
);
comment on table parked_refs is 'The references that a parked event waits on.';
create index parked_refs_parked on parked_refs (parked_id);

create table dead_letters (
    id bigint generated always as identity primary key,
    topic text not null check (length(topic) <= 249),
    partition integer not null check (partition >= 0),
    "offset" bigint not null check ("offset" >= 0),
    digest bytea not null check (length(digest) = 32),
    timestamp_ms bigint not null,
    key bytea,
    value bytea,
    header_names bytea[] not null,
    header_values bytea[] not null,
    source text check (length(source) between 1 and 192),
    event_id text check (length(event_id) between 1 and 400),
    event_type text check (length(event_type) <= 255),
    payment_ref text check (length(payment_ref) <= 255),
    reason text not null check (reason in (
        'undecodable', 'unknown_kind', 'conflict', 'orphan', 'data_rejected', 'unexpected', 'fatal')),
    message text not null check (length(message) <= 1000),
    status text not null default 'open' check (status in ('open', 'redriven', 'discarded')),
    delivery_count integer not null default 1 check (delivery_count >= 1),
    redrive_count integer not null default 0 check (redrive_count >= 0),
    relay_xid bigint not null check (relay_xid > 0),
    created_at timestamptz not null,
    constraint dead_letters_place unique (topic, partition, "offset", digest),
    constraint dead_letters_headers_pair check (cardinality(header_names) = cardinality(header_values))
);
comment on table dead_letters is 'Records that could not be settled, byte for byte, with the place they came from.';
comment on column dead_letters.digest is 'SHA-256 of key and value: a topic made anew never swallows a letter';
create index dead_letters_relay on dead_letters (relay_xid, id);
create index dead_letters_event on dead_letters (source, event_id);
create index dead_letters_open on dead_letters (reason, id) where status = 'open';
create index dead_letters_payment on dead_letters (payment_ref);

create table spool (
    id bigint generated always as identity primary key,
    topic text not null check (length(topic) <= 249),
    key bytea,
    value bytea not null check (length(value) <= 2097152),
    header_names bytea[] not null,
    header_values bytea[] not null,
    relay_xid bigint not null default pg_current_xact_id()::text::bigint,
    created_at timestamptz not null default now(),
    constraint spool_headers_pair check (cardinality(header_names) = cardinality(header_values))
);
comment on table spool is 'Accepted records on their way to Kafka: webhooks while Kafka is away, intents always.';

create table relay_cursors (
    name text primary key check (name in ('changes', 'dead_letters')),
    relay_xid bigint not null default 0,
    id bigint not null default 0,
    system_identifier bigint,
    updated_at timestamptz not null default now()
);
comment on table relay_cursors is 'How far the relay has published: everything up to (relay_xid, id).';
comment on column relay_cursors.system_identifier is
    'the database cluster whose transaction ids these are; in another one (a restored dump) they mean nothing';
insert into relay_cursors (name) values ('changes'), ('dead_letters');

create table leases (
    name text primary key check (length(name) between 1 and 64),
    holder text not null check (length(holder) between 1 and 128),
    token bigint not null check (token > 0),
    expires_at timestamptz not null
);
comment on table leases is 'Who may act where one must; a write names the fencing token it was given.';

create table consumer_marks (
    topic text not null check (length(topic) <= 249),
    partition integer not null check (partition >= 0),
    start_offset bigint not null check (start_offset >= 0),
    unclean_ends integer not null check (unclean_ends >= 0),
    probing_offset bigint check (probing_offset >= start_offset),
    updated_at timestamptz not null default now(),
    primary key (topic, partition)
);
comment on table consumer_marks is
    'Where a consumer started and how often it ended uncleanly there: finds the record that kills the process.';

create table sms_transactions (
    id bigint generated always as identity primary key,
    payment_id uuid not null references payments (id),
    to_number text not null check (to_number ~ '^\+[1-9][0-9]{6,14}$'),
    template text not null check (length(template) between 1 and 64),
    status text not null check (status in ('queued', 'sending', 'sent', 'delivered', 'undelivered', 'failed')),
    provider_sid text check (length(provider_sid) between 1 and 64),
    attempts integer not null default 0 check (attempts >= 0),
    next_attempt_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    constraint sms_transactions_once unique (payment_id, template)
);
comment on table sms_transactions is 'Messages to customers: each template once a payment.';
create index sms_transactions_due on sms_transactions (next_attempt_at) where status in ('queued', 'sending');
create index sms_transactions_sid on sms_transactions (provider_sid);

-- migrate:down

drop table sms_transactions, consumer_marks, leases, relay_cursors, spool, dead_letters, parked_refs, parked_events,
    payment_logs, payment_refs, payments;

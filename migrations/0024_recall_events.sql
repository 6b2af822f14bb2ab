-- migrate:up

-- How far each list of a provider's API has been read. `began_at` is when the endpoint's secret was first configured, as
-- far as we know: what happened before is history, not a webhook that was lost.
create table recall_cursors (
    provider text not null check (length(provider) between 1 and 64),
    account text not null check (length(account) <= 64),
    list text not null check (length(list) between 1 and 64),
    began_at timestamptz not null,
    read_until timestamptz not null,
    since timestamptz,
    until timestamptz,
    page text check (length(page) <= 2000),
    turns bigint not null default 0,
    asked_at timestamptz,
    last_error text check (length(last_error) <= 500),
    primary key (provider, account, list),
    constraint recall_cursors_span check ((since is null) = (until is null) and (page is null or since is not null))
);
comment on table recall_cursors is 'How far each list of a provider''s API has been read for webhooks that never came.';
comment on column recall_cursors.read_until is 'everything that the list showed before is spooled';
comment on column recall_cursors.since is 'the span that is being read, page by page; null between two';
comment on column recall_cursors.page is 'names the next page of the span';
comment on column recall_cursors.turns is 'grows with each page that was written: nobody writes what another has written';

-- What a list showed that was not known yet. `first_at` tells that recall brought it; `webhook_at` that a webhook of it
-- came, whether it was new or not; `lost_at` that none came for as long as the provider tries to deliver one.
create table recalled_events (
    source text not null check (length(source) between 1 and 192),
    event_id text not null check (length(event_id) between 1 and 400),
    kind text not null check (length(kind) <= 255),
    ref text check (length(ref) between 1 and 255),
    occurred_at timestamptz not null,
    history boolean not null,
    seen_at timestamptz not null default clock_timestamp(),
    first_at timestamptz,
    webhook_at timestamptz,
    lost_at timestamptz,
    primary key (source, event_id),
    constraint recalled_events_lost check (lost_at is null or (first_at is not null and not history))
);
comment on table recalled_events is
    'What recall saw that was not known: when recall saw it, and when a webhook of it came. Nothing before the secret was
    configured (history) counts as lost.';
comment on column recalled_events.ref is 'of a list of objects the object''s id, else null';
create index recalled_events_first on recalled_events (source, occurred_at) where first_at is not null and not history;
create index recalled_events_ref on recalled_events (ref, source) where ref is not null and webhook_at is null;

-- migrate:down

drop table recalled_events, recall_cursors;

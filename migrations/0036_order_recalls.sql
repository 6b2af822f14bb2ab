-- migrate:up

-- What people ask of a provider's lists. `list` and `page` say where reading goes on, so that whoever takes the
-- dispatcher's lease next goes on there.
create table recall_orders (
    id bigint generated always as identity primary key,
    provider text not null check (provider ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    account text not null check (account ~ '^([a-z0-9][a-z0-9_.-]{0,63})?$'),
    since timestamptz not null,
    until timestamptz not null,
    dry_run boolean not null,
    requested_by text not null check (length(requested_by) between 1 and 128),
    because text not null check (length(because) <= 500),
    requested_at timestamptz not null default clock_timestamp(),
    status text not null default 'queued' check (status in ('queued', 'running', 'done', 'stopped', 'failed')),
    asked_since timestamptz,
    secret_since timestamptz,
    list text check (length(list) between 1 and 64),
    page text check (length(page) <= 2000),
    turns bigint not null default 0 check (turns >= 0),
    failures integer not null default 0 check (failures >= 0),
    pages bigint not null default 0 check (pages >= 0),
    known bigint not null default 0 check (known >= 0),
    new bigint not null default 0 check (new >= 0),
    history bigint not null default 0 check (history between 0 and new),
    kinds jsonb not null default '{}' check (jsonb_typeof(kinds) = 'object'),
    first_at timestamptz,
    last_at timestamptz,
    error text check (length(error) between 1 and 500),
    stopped_by text check (length(stopped_by) between 1 and 128),
    next_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    ended_at timestamptz,
    constraint recall_orders_span check (since < until),
    constraint recall_orders_started check ((status = 'queued') <= (started_at is null)),
    constraint recall_orders_ended check ((status in ('done', 'stopped', 'failed')) = (ended_at is not null)),
    constraint recall_orders_page check (page is null or list is not null),
    constraint recall_orders_failed check ((status = 'failed') <= (error is not null)),
    constraint recall_orders_stopped check ((status = 'stopped') <= (stopped_by is not null)),
    constraint recall_orders_new check ((first_at is null) = (new = 0) and (last_at is null) = (new = 0))
);
comment on table recall_orders is
    'What people ask of a provider''s own lists: the console writes it, the dispatcher reads the lists page by page.';
comment on column recall_orders.account is 'in lower case; empty for the provider''s own endpoint';
comment on column recall_orders.dry_run is 'only counts what it would bring; nothing is spooled';
comment on column recall_orders.asked_since is 'since when the lists were asked: they go no further back';
comment on column recall_orders.secret_since is 'when the endpoint''s secret was first configured: what is older is history';
comment on column recall_orders.turns is 'grows with each page that was counted: nobody writes what another has written';
comment on column recall_orders.failures is 'answers in a row that were no page';
comment on column recall_orders.error is 'what went wrong last; of a failed order, why it failed';
comment on column recall_orders.kinds is 'how many events of each kind were new';
create unique index recall_orders_open on recall_orders (provider) where status in ('queued', 'running');

-- migrate:down

drop table recall_orders;

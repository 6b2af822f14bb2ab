-- migrate:up

alter table refetches add column about text check (length(about) between 1 and 255);
comment on column refetches.about is
    'what the id belongs to, as an unsigned webhook says: the push of a receipt, the receipt that a reversal takes back';
alter table refetches add column query_id text check (length(query_id) between 1 and 255);
comment on column refetches.query_id is 'the provider''s id of our query whose answer comes by a webhook';
alter table refetches add column query_at timestamptz;
comment on column refetches.query_at is 'updated_at when the query left: whoever asks again since then changes it';
create index refetches_query on refetches (query_id) where query_id is not null;

-- What the clock asks about: payments in states that nothing may ever tell the end of.
create index payments_open on payments (provider, account, updated_at)
    where merged_into is null
        and provider_ref is not null
        and (
            status in ('created', 'requires_action', 'processing', 'authorized')
            or refund_status = 'pending'
            or dispute_status in ('inquiry', 'open', 'under_review')
        );

-- migrate:down

drop index payments_open;
drop index refetches_query;
alter table refetches drop column query_at, drop column query_id, drop column about;

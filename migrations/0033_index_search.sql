-- migrate:up

-- One index for every search: it is read in the order of time, and what else is asked for is compared inside it, so that
-- a page costs a look through this index at most, and no visit to rows that do not fit.
create index payments_found on payments (
    created_at, id, provider, status, dispute_status, livemode, account, client, currency, amount
) where merged_into is null;

-- migrate:down

drop index payments_found;

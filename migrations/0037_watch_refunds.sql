-- migrate:up

-- What the clock asks about beside `payments_open`: a refund that is pending where others of the payment are done.
create index payments_open_refunds on payments (provider, account, updated_at)
    where merged_into is null
        and provider_ref is not null
        and refund_status = 'partial'
        and jsonb_path_exists(facts, '$.keyvalue() ? (@.key starts with "refund:" && @.value[0] == "pending")');

-- migrate:down

drop index payments_open_refunds;

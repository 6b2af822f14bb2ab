-- What all orders show as captured.
select coalesce(sum(captured), 0)::bigint from payments where client is not null

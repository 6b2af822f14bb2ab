-- Note which payments stand under which references and shared ids; a promise is never taken back.
insert into reference_payments as known (provider, account, livemode, kind, ref, payment_id, promise, groups)
select provider, account, livemode, kind, ref, payment_id, promise, groups
from unnest(
    $1::text::text[], $2::text::text[], $3::text::boolean[], $4::text::text[], $5::text::text[], $6::text::uuid[],
    $7::text::integer[], $8::text::boolean[])
    as n (provider, account, livemode, kind, ref, payment_id, promise, groups)
on conflict (ref, kind, provider, account, livemode, payment_id) do update
set promise = excluded.promise, groups = excluded.groups, xid = excluded.xid
where known.promise is null and excluded.promise is not null

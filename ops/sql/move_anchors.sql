-- $1 payment ids, $2 hashes and $3 versions (or null) of the last rows removed, $4 how many of each.
insert into ledger_anchors as a (payment_id, hash, version, rows_removed)
select n.payment_id, n.hash, coalesce(n.version, 0), n.rows_removed
from unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::bigint[]) as n (payment_id, hash, version, rows_removed)
on conflict (payment_id) do update set
    hash = excluded.hash,
    version = greatest(a.version, excluded.version),
    rows_removed = a.rows_removed + excluded.rows_removed,
    updated_at = now()

-- $1 payment ids, and of the last rows removed: $2 hashes, $3 versions, $4 relay_xids, $5 ids; $6 how many are removed
-- in all, $7 what they had reported, $8 signatures. An anchor never moves back: the answer is how many were moved.
with moved as (
    insert into ledger_anchors as a (payment_id, hash, version, relay_xid, ledger_id, rows_removed, facts, mac)
    select *
    from unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bytea[])
    on conflict (payment_id) do update set
        hash = excluded.hash,
        version = excluded.version,
        relay_xid = excluded.relay_xid,
        ledger_id = excluded.ledger_id,
        rows_removed = excluded.rows_removed,
        facts = excluded.facts,
        mac = excluded.mac,
        updated_at = now()
    where a.ledger_id < excluded.ledger_id and a.version <= excluded.version
    returning 1
)
select count(*) from moved

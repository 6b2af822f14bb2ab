-- $1 name; from ($2, $3) to ($4, $5); under the lease $6 with token $7, held by $8. No row: another relay is at work.
with held as materialized (
    select 1 from leases where name = $6 and token = $7 and holder = $8 and expires_at > clock_timestamp() for share
)
update relay_cursors
set relay_xid = $4, id = $5, updated_at = now()
where name = $1 and relay_xid = $2 and id = $3 and exists (select from held)
returning id

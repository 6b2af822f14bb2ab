-- $1 ids; under the lease $2 with token $3. The answer tells whether the lease stands.
with standing as materialized (
    select 1 from leases where name = $2 and token = $3 and expires_at > clock_timestamp() for share
), deleted as (
    delete from spool where id = any ($1::bigint[]) and exists (select from standing)
)
select exists (select from standing)

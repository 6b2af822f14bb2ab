-- $1 the cluster's identifier; under the lease $2 with token $3, held by $4.
update relay_cursors
set system_identifier = $1
where system_identifier is null
    and exists (select from leases where name = $2 and token = $3 and holder = $4 and expires_at > clock_timestamp())

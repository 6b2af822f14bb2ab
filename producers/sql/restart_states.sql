-- Under the lease $1 with token $2, held by $3: in another epoch payments.state is filled anew, from the ledger's beginning.
update relay_cursors
set relay_xid = 0, id = 0, epoch = (select max(epoch) from epochs), updated_at = now()
where name = 'state'
    and epoch is distinct from (select max(epoch) from epochs)
    and exists (select from leases where name = $1 and token = $2 and holder = $3 and expires_at > clock_timestamp())
returning epoch

-- The ledger's last row that no transaction under way can come before.
select relay_xid, id
from payment_logs
where relay_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
order by relay_xid desc, id desc
limit 1

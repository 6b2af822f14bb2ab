-- Parked events past their deadline, and the names that must be locked before they may be buried.
select p.id, w.provider, w.account, w.merchant_account, w.livemode, w.kind, w.ref
from (select id from parked_events where deadline < $1 order by deadline limit $2) p
left join parked_refs w on w.parked_id = p.id

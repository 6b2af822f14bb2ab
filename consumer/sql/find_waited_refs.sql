-- The references on which these parked events wait. $1 their ids.
select distinct provider, account, merchant_account, livemode, kind, ref from parked_refs where parked_id = any($1::bigint[])

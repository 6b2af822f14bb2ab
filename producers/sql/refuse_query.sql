-- A webhook answers a query of ours which is open, without an outcome: the refetch's next try comes as it would without
-- the answer. $1 provider, $2 account, $3 the query's id, $4 its text.
update refetches
set query_id = null, last_error = $4
where query_id = $3 and provider = $1 and lower(account) = lower($2) and status = 'queued'
returning id

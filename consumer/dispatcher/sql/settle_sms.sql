-- $1 id, $2 attempts as claimed, $3 status, $4 the provider's id or null. A receipt that came first stands.
update sms_transactions
set status = case when status = 'sending' then $3 else status end,
    provider_sid = coalesce(provider_sid, $4)
where id = $1 and attempts = $2 and status <> 'queued'

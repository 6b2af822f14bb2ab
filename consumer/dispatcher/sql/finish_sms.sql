-- $1 id, $2 attempts as claimed, $3 status, $4 the provider's id or null. A last word that the provider had before we
-- knew its id is in the ledger, and stands.
update sms_transactions
set status = case when status = 'sending' then coalesce((
            select last.status
            from unnest(array['delivered', 'undelivered', 'failed']) as last (status)
            join payment_logs on source = 'twilio' and event_id = $4 || ':' || last.status
            limit 1
        ), $3)
        else status end,
    provider_sid = coalesce(provider_sid, $4)
where id = $1 and attempts = $2 and status <> 'queued'

-- Take parked events out, unless somebody woke them while we waited for their references, or is about to.
delete from parked_events p
where p.id = any($1::bigint[]) and p.deadline < $2
    and not exists (
        select from parked_refs w
        join wake_marks m using (provider, account, merchant_account, livemode, kind, ref)
        where w.parked_id = p.id)
returning p.id, p.topic, p.partition, p."offset", p.timestamp_ms, p.key, p.value, p.header_names, p.header_values,
    p.reason, p.detail

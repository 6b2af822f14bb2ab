-- Which events are in the ledger already, and what they reported by which version of the meaning: $1, $2 sources and event
-- ids. Each other row tells something: `waits` that any event or dead letter waits for a reference; `recalls` that a provider's
-- list was ever asked; `promises` that somebody promised a reference, asked where $3 is null; `grew` a payment in a group
-- that grew since $3, the snapshot of lock_refs.sql. That one did not see what is committed by now of the transactions
-- that were open then, or began later; an id above is one of the cluster from which this one was restored.
select source, event_id, l.facts, l.meaning, null::uuid as payment_id, null as tells
from unnest($1::text::text[], $2::text::text[]) as n (source, event_id)
join payment_logs l using (source, event_id)
union all
select source, event_id, p.facts, p.meaning, null, null
from unnest($1::text::text[], $2::text::text[]) as n (source, event_id)
join parked_events p using (source, event_id)
where (select exists (select from parked_events))
union all
select null, null, null, null, null, 'waits'
where exists (select from parked_refs) or exists (select from orphan_refs)
union all
select null, null, null, null, null, 'recalls'
where exists (select from recall_cursors)
union all
select null, null, null, null, null, 'promises'
where $3::text is null and exists (select from reference_payments where promise is not null)
union all
select null, null, null, null, m.payment_id, 'grew'
from (
    select w.provider, w.account, w.livemode, w.ref
    from pg_snapshot_xip($3::text::pg_snapshot) as open (xid)
    join reference_payments w on w.xid = open.xid::text::bigint and w.kind = 'reference'
    union
    select provider, account, livemode, ref
    from reference_payments
    where kind = 'reference' and xid >= pg_snapshot_xmax($3::text::pg_snapshot)::text::bigint
        and xid < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
) g
join payment_refs r
    on r.ref = g.ref and r.kind = 'reference' and r.provider = g.provider and r.account = g.account
    and r.merchant_account = '' and r.livemode = g.livemode
join lateral (
    select payment_id from reference_payments m
    where m.ref = g.ref and m.kind = 'reference' and m.provider = g.provider and m.account = g.account
        and m.livemode = g.livemode
    offset 0
) m on true
where r.payment_id is not null

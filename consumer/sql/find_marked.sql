-- Who waits on marked references, part by part: $1 marks, null for all of them, the oldest first; $2 rows. Of each mark parked
-- events come before dead letters of orphans. A mark on which nobody waits any more is a row without either. `bytes` is
-- what the record takes in memory: a compressed value counts with all that it comes to.
select
    m.id as mark_id, w.parked_id, w.letter_id,
    coalesce(octet_length(e.key), octet_length(d.key), 0) + coalesce(octet_length(e.value), octet_length(d.value), 0)
        + coalesce(octet_length(array_send(coalesce(e.header_names, d.header_names))), 0)
        + coalesce(octet_length(array_send(coalesce(e.header_values, d.header_values))), 0) as bytes
from (
    select * from wake_marks where $1::bigint[] is null or id = any($1::bigint[]) order by id limit $2
) m
left join lateral (
    (
        select p.parked_id, null::bigint as letter_id
        from parked_refs p
        where p.ref = m.ref and p.kind = m.kind and p.provider = m.provider and p.account = m.account
            and p.merchant_account = m.merchant_account and p.livemode = m.livemode and p.parked_id > m.after_id
        order by p.parked_id
        limit $2
    )
    union all
    (
        select null, o.letter_id
        from orphan_refs o
        where o.ref = m.ref and o.kind = m.kind and o.provider = m.provider and o.account = m.account
            and o.merchant_account = m.merchant_account and o.livemode = m.livemode and o.letter_id > m.after_letter_id
        order by o.letter_id
        limit $2
    )
) w on true
left join parked_events e on e.id = w.parked_id
left join dead_letters d on d.id = w.letter_id and d.status = 'open'
order by m.id, w.letter_id nulls first, w.parked_id
limit $2

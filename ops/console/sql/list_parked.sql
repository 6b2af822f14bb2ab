-- $1 a reference that they wait for, or their event id; null: any. $2 rows.
select
    p.id, p.source, p.event_id, p.event_type, p.reason, p.detail, p.topic, p.partition, p."offset", p.parked_at, p.deadline,
    array(select r.kind || ' ' || r.ref from parked_refs r where r.parked_id = p.id order by r.kind, r.ref limit 8) as refs
from parked_events p
where $1::text is null
    or p.event_id = $1
    or p.id in (
        select w.parked_id
        from parked_refs w
        where w.ref = $1
    )
order by p.deadline, p.id
limit $2

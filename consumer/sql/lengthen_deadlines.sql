-- Add a standstill, $2 to $3, to the deadlines of the next $4 parked events behind $1; return how many and the last. What
-- was parked during it waited for the rest of it only.
with part as materialized (
    select id from parked_events where id > $1 order by id limit $4 for no key update
),
lengthened as (
    update parked_events p
    set deadline = p.deadline + ($3::timestamptz - greatest($2::timestamptz, p.parked_at))
    from part
    where p.id = part.id and p.parked_at < $3
)
select count(*) as events, max(id) as last_id from part

-- Those of the letters asked for by id ($1) that are not open, or are not there at all (status null).
select asked.id, d.status
from unnest($1::bigint[]) as asked (id)
left join dead_letters d using (id)
where d.status is distinct from 'open'
order by asked.id

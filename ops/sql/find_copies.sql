-- Letters with the same bytes that came back from redrives and still hold them. $1 letter
select again.id
from dead_letters d
inner join dead_letters again using (digest)
where d.id = $1 and again.id <> d.id and again.redrive_count > 0 and again.redacted_at is null
order by again.id

-- What this database is known by, which each copy of it is known by too: when its first epoch began.
select format('ratchet:%s:%s', epoch, (extract(epoch from began_at) * 1000000)::bigint)
from epochs
order by epoch
limit 1

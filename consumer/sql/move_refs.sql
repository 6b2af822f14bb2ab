-- All names of payments that turned out to be another one go to that one.
update payment_refs r
set payment_id = n.survivor
from unnest($1::uuid[], $2::uuid[]) as n (other, survivor)
where r.payment_id = n.other

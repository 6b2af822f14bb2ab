-- What a payment stands under, the one stands under as well that it turned out to be. $1 the former, $2 the latter.
insert into reference_payments (provider, account, livemode, kind, ref, payment_id)
select r.provider, r.account, r.livemode, r.kind, r.ref, n.survivor
from unnest($1::uuid[], $2::uuid[]) as n (other, survivor)
join reference_payments r on r.payment_id = n.other
on conflict do nothing

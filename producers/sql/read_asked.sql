-- $1 payment id, $2 seconds for which a request counts that the payment's facts do not show; one that was refused does not.
select command, amount, seen
from intent_claims
where payment_id = $1 and command <> 'create' and state is distinct from 'refused'
    and created_at > now() - make_interval(secs => $2)
order by created_at

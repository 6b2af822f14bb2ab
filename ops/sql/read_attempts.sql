-- $1 an intent's payment, $2 rows. The payments that it has adopted.
select *
from payments
where intent_id = $1 and merged_into is null
order by created_at, id
limit $2

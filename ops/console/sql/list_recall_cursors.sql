-- How far each provider's list has been read. $1 rows.
select provider, account, list, began_at, read_until, asked_at, last_error
from recall_cursors
order by provider, account, list
limit $1

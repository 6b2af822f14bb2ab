-- A last word stands: a delivery report that comes late takes nothing back.
update sms_transactions m
set status = n.status
from unnest($1::text[], $2::text[]) as n (sid, status)
where m.provider_sid = n.sid and m.status not in ('delivered', 'undelivered', 'failed')

-- $1 reason, $2 provider, $3 payment reference or event id, $4 since, $5 until, $6 ids, $7 status, $8 part of the message,
-- $9 kind of event; null: any.
select count(*) as total
from dead_letters
where ($1::text is null or reason = $1)
    and ($2::text is null or split_part(source, '/', 1) = $2)
    and ($3::text is null or payment_ref = $3 or event_id = $3)
    and ($4::timestamptz is null or created_at >= $4)
    and ($5::timestamptz is null or created_at < $5)
    and ($6::bigint[] is null or id = any($6))
    and ($7::text is null or status = $7)
    and ($8::text is null or strpos(lower(message), lower($8)) > 0)
    and ($9::text is null or event_type = $9)

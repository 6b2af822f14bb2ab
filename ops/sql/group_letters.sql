-- $1 reason, $2 provider, $3 payment reference or event id, $4 since, $5 until, $6 ids, $7 status, $8 part of the message,
-- $9 kind of event, $10 groups; null: any.
-- The message is of the newest of each group.
select alike.*, dead_letters.message
from (
    select
        reason, source, event_type, count(*) as letters, min(created_at) as oldest, max(created_at) as newest,
        max(id) as sample_id
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
    group by reason, source, event_type
    order by letters desc, sample_id desc
    limit $10
) as alike
join dead_letters on dead_letters.id = alike.sample_id
order by alike.letters desc, alike.sample_id desc

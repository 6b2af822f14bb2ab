-- $1 who, $2 filter, $3 target topic, $4 rate, $5 most messages, $6 policy, $7 failure ratio, $8 failures, $9 forced,
-- $10 matched, $11 letters and $12 what would become of each, pairwise.
with ordered as (
    insert into redrives (
        requested_by, filter, target_topic, rate_per_second, messages_max, policy, failure_ratio_max, failures_min,
        forced, matched, selected)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, cardinality($11::bigint[]))
    returning id
), written as (
    insert into redrive_messages (redrive_id, dead_letter_id, would)
    select ordered.id, n.dead_letter_id, n.would
    from ordered, unnest($11::bigint[], $12::text[]) as n (dead_letter_id, would)
    order by n.dead_letter_id
)
select id from ordered

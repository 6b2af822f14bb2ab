-- Note that this very record is about to be touched, by itself; those before it survived. Return how many processes
-- ended with exactly it in hand; no row where the partition is not ours any more.
with survived as (
    delete from consumer_ends where topic = $1 and partition = $2 and "offset" < $3
), noted as (
    update consumer_marks set probing_offset = $3, updated_at = now()
    where topic = $1 and partition = $2 and owner = $4 and start_offset <= $3
    returning topic
)
select (select count(*) from consumer_ends where topic = $1 and partition = $2 and "offset" = $3) as ends from noted

-- The payments of these orphans came after all: their events are in the ledger. $1 dead letters (locked).
with unwaited as (
    delete from orphan_refs where letter_id = any($1::bigint[])
)
update dead_letters set status = 'applied' where id = any($1::bigint[])

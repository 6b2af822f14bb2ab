-- $1 payment ids. The facts of those that were merged into them, and of the attempts that they have adopted.
select merged_into, null::uuid as intent_id, facts from payments where merged_into = any($1::uuid[])
union all
select null, intent_id, facts from payments where intent_id = any($1::uuid[]) and merged_into is null

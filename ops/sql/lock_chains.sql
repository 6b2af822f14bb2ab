-- $1 payment ids. No row is added to these chains until the transaction ends.
select id from payments where id = any($1::uuid[]) order by id for no key update

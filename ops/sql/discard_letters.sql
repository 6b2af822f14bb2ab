-- $1 letters, $2 who, $3 why
with given_up as (
    update dead_letters set status = 'discarded' where id = any($1::bigint[]) and status = 'open' returning id
)
insert into discards (dead_letter_id, discarded_by, because)
select id, $2, $3 from given_up order by id
returning dead_letter_id as id

-- $1 id
select * from dead_letters where id = $1

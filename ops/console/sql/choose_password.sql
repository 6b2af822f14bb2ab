-- Another password ends every session that the old one opened. $1 operator, $2 hash, $3 name, $4 from where
with chosen as (
    update operators set password_hash = $2, one_time_until = null where id = $1 returning id
), ended as (
    delete from console_sessions using chosen where operator_id = chosen.id
)
insert into operator_actions (who, origin, action, target, because)
select $3, $4, 'operator.choose_password', $3, '' from chosen
returning id

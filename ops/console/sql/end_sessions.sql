-- Every session of every console, with who ended them. $1 who, $2 from where
with ended as (delete from console_sessions returning 1),
noted as (
    insert into operator_actions (who, origin, action, target, because)
    select $1, $2, 'console.sign_out_everywhere', count(*) || ' sessions', '' from ended
)
select count(*) as ended from ended

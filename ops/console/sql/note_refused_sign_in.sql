-- $1 who, $2 from where, $3 so many a minute at most: guesses must not fill the table.
insert into operator_actions (who, origin, action, target, because)
select $1, $2, 'console.sign_in_refused', 'console', ''
where $3 > (
    select count(*) from operator_actions
    where action = 'console.sign_in_refused' and acted_at > clock_timestamp() - interval '1 minute'
)

-- $1 digest, $2 the longest that a session lasts, $3 the longest that it may lie idle, in seconds
select
    session.person as name, coalesce(operators.role, session.role) as role, operators.id as operator_id, operators.one_time_until is not null as one_time
from console_sessions as session
left join operators on operators.id = session.operator_id
where session.digest = $1
    and session.began_at > clock_timestamp() - make_interval(secs => $2)
    and session.used_at > clock_timestamp() - make_interval(secs => $3)

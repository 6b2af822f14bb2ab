-- $1 name. A one-time password that nobody used in time opens nothing.
select
    id as operator_id, name, role, one_time_until is not null as one_time,
    case when one_time_until is null or one_time_until > clock_timestamp() then password_hash end as password_hash
from operators
where name = $1

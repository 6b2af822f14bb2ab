-- $1 instance id. Keepalives end the session of a host that is lost within a quarter of a minute, not after hours.
select pg_try_advisory_lock(hashtextextended('ratchet consumer ' || $1, 0))
from (
    select
        set_config('tcp_keepalives_idle', '5', false),
        set_config('tcp_keepalives_interval', '3', false),
        set_config('tcp_keepalives_count', '3', false)
) as keepalives

-- $1 name, $2 token, $3 holder: after a fail-over one token may have been given twice. The row lock keeps a take-over waiting until the guarded transaction has ended.
select token from leases where name = $1 and token = $2 and holder = $3 and expires_at > clock_timestamp() for share

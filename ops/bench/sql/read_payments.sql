-- How the payments of these provider references stand.
select provider_ref, status, authorized, captured, refunded from payments where provider_ref = any($1::text[])

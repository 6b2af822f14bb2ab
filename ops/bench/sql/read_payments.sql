-- How the payments of these provider references stand; orders show their payment's reference too.
select provider_ref, status, authorized, captured, refunded from payments
where provider_ref = any($1::text[]) and client is null

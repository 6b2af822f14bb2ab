-- migrate:up

-- The payment that a payment turned out to be, after any number of merges; itself where it was not merged, no row where there
-- is none. Its body is put in the place of the call when a statement is planned, so it may have no `security definer`, no
-- `set` and no `strict`: with any of them the planner would see a function and no look-up.
create function surviving_payment(asked uuid) returns table (id uuid)
language sql stable rows 1
begin atomic
    with recursive followed as (
        select payments.id, payments.merged_into from payments where payments.id = surviving_payment.asked
        union
        select payments.id, payments.merged_into
        from payments
        inner join followed on payments.id = followed.merged_into
    )
    select followed.id from followed where followed.merged_into is null;
end;
comment on function surviving_payment(uuid) is
    'The payment that a payment turned out to be, after any number of merges; no row where there is none.';
revoke all on function surviving_payment(uuid) from public;

-- migrate:down

drop function surviving_payment(uuid);

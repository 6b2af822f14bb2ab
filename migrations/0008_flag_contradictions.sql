-- migrate:up

-- The facts have new words, which the old ones can't be turned into: an authorization that a capture implied and one
-- that the provider told of looked alike.
do $$
begin
    if exists (select from payment_logs) then
        raise exception 'the ledger holds facts in the words of an older version: this version begins with an empty one';
    end if;
end
$$;

-- Sums are what the provider said; what does not add up is a flag, not a refusal.
alter table payments drop constraint payments_captured_within_authorized;
alter table payments drop constraint payments_refunded_within_captured;
alter table payments add column if not exists flags text[] not null default '{}';
alter table payments add constraint payments_flags_check check (
    flags <@ array[
        'amount_differs', 'contradiction', 'other_currency', 'over_captured', 'over_refunded', 'paid_again', 'underpaid'
    ]);
comment on column payments.facts is
    '{"kind:key": [state, amount, parent, version, replaces, low]}, short at the end: the join of all facts of the ledger';

drop view disputes;
create view disputes as
select p.id as payment_id, substr(f.key, 9) as dispute_id, f.value ->> 0 as state,
    (
        select sum((m.value ->> 1)::bigint) from jsonb_each(p.facts) m
        where m.key like 'dispute_out:%' and coalesce(m.value ->> 2, substr(m.key, 13)) = substr(f.key, 9)
    )::bigint as withdrawn,
    (
        select sum((m.value ->> 1)::bigint) from jsonb_each(p.facts) m
        where m.key like 'dispute_in:%' and coalesce(m.value ->> 2, substr(m.key, 12)) = substr(f.key, 9)
    )::bigint as reinstated
from payments p cross join lateral jsonb_each(p.facts) f
where p.merged_into is null and f.key like 'dispute:%';
comment on view disputes is 'The disputes of every payment, with the money that each took and gave back in all its rounds.';

-- migrate:down

drop view disputes;
create view disputes as
select p.id as payment_id, substr(f.key, 9) as dispute_id, f.value ->> 0 as state,
    p.facts -> ('dispute_funds:' || substr(f.key, 9)) ->> 0 as funds_state,
    (p.facts -> ('dispute_funds:' || substr(f.key, 9)) ->> 1)::bigint as funds_amount
from payments p cross join lateral jsonb_each(p.facts) f
where p.merged_into is null and f.key like 'dispute:%';
comment on view disputes is 'The disputes of every payment, with the money that each took or gave back.';
comment on column payments.facts is '{"kind:key": [state, amount or null]}: the join of all facts of the ledger';
alter table payments drop constraint payments_flags_check;
alter table payments add constraint payments_refunded_within_captured check (refunded <= captured);
alter table payments add constraint payments_captured_within_authorized check (captured <= authorized);

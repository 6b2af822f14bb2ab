-- migrate:up

-- Reads both tables beside their writers.
alter table intent_claims validate constraint intent_claims_refusal_is_of_a_refused;
alter table commands validate constraint commands_refusal_is_of_a_refused;

-- migrate:down

alter table commands
    drop constraint commands_refusal_is_of_a_refused,
    add constraint commands_refusal_is_of_a_refused
        check (refusal is null or state is not distinct from 'refused') not valid;
alter table intent_claims
    drop constraint intent_claims_refusal_is_of_a_refused,
    add constraint intent_claims_refusal_is_of_a_refused
        check (refusal is null or state is not distinct from 'refused') not valid;

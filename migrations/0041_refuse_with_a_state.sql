-- migrate:up

-- A refusal is of what was refused: a state of null let it pass, as null is not false. Rows of before are read by the next file.
alter table intent_claims
    drop constraint intent_claims_refusal_is_of_a_refused,
    add constraint intent_claims_refusal_is_of_a_refused
        check (refusal is null or state is not distinct from 'refused') not valid;
alter table commands
    drop constraint commands_refusal_is_of_a_refused,
    add constraint commands_refusal_is_of_a_refused
        check (refusal is null or state is not distinct from 'refused') not valid;

-- migrate:down

alter table commands
    drop constraint commands_refusal_is_of_a_refused,
    add constraint commands_refusal_is_of_a_refused check (refusal is null or state = 'refused') not valid;
alter table intent_claims
    drop constraint intent_claims_refusal_is_of_a_refused,
    add constraint intent_claims_refusal_is_of_a_refused check (refusal is null or state = 'refused') not valid;

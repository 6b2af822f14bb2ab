-- migrate:up

-- What became of a command: whoever carries it out answers, and what was refused holds no money back any more.
alter table intent_claims
    add column state text check (state in ('accepted', 'refused', 'done')),
    add column refusal text check (length(refusal) <= 255),
    add constraint intent_claims_create_has_no_state check (command <> 'create' or state is null),
    add constraint intent_claims_refusal_is_of_a_refused check (refusal is null or state = 'refused');
comment on column intent_claims.state is 'of a command: what its executor answered last; null while nobody did';
comment on column intent_claims.refusal is 'why the executor refused it';

-- migrate:down

alter table intent_claims
    drop constraint intent_claims_refusal_is_of_a_refused,
    drop constraint intent_claims_create_has_no_state,
    drop column refusal,
    drop column state;

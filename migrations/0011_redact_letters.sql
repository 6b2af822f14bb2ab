-- migrate:up

alter table dead_letters add column redacted_at timestamptz;
comment on column dead_letters.redacted_at is 'since when the row holds a digest in place of the payload';

create table erased_letters (
    topic text not null check (length(topic) <= 249),
    partition integer not null check (partition >= 0),
    "offset" bigint not null check ("offset" >= 0),
    digest bytea not null check (length(digest) = 32),
    erased_at timestamptz not null default clock_timestamp(),
    primary key (topic, partition, "offset", digest)
);
comment on table erased_letters is
    'Dead letters that were redacted or removed: what payments.dlq still holds of them is never taken in again.';
create index erased_letters_age on erased_letters (erased_at);

create function redact_dead_letter(letter_id bigint, who text, origin text, because text) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    letter public.dead_letters%rowtype;
    replacement bytea;
begin
    select * into letter from public.dead_letters where id = letter_id for update;
    if not found then
        return 'unknown';
    elsif letter.redacted_at is not null then
        return 'redacted_before';
    elsif exists (
        select from public.redrive_messages where dead_letter_id = letter_id and status = 'publishing'
    ) then
        return 'being_redriven';
    end if;
    replacement := convert_to('redacted, sha256 ' || encode(sha256(coalesce(letter.value, '')), 'hex'), 'UTF8');
    insert into public.erased_letters (topic, partition, "offset", digest)
    values
        (letter.topic, letter.partition, letter."offset", letter.digest),
        (letter.topic, letter.partition, letter."offset", sha256(
            case when letter.key is null then '-'::bytea
                else convert_to(length(letter.key) || ':', 'UTF8') || letter.key end
            || convert_to(length(replacement) || ':', 'UTF8') || replacement))
    on conflict do nothing;
    update public.dead_letters
    set value = replacement,
        redacted_at = clock_timestamp(),
        status = case when status = 'open' then 'discarded' else status end,
        header_values = coalesce((
            select array_agg(
                case when convert_from(name, 'LATIN1') ~* '^(ce_|kafka_|ratchet-|traceparent$|content-type$)' then v
                    else convert_to('redacted', 'UTF8') end
                order by place)
            from unnest(header_names, header_values) with ordinality as header (name, v, place)
        ), header_values)
    where id = letter_id;
    if letter.status = 'open' then
        insert into public.discards (dead_letter_id, discarded_by, because)
        values (letter_id, who, because)
        on conflict do nothing;
    end if;
    insert into public.operator_actions (who, origin, action, target, because)
    values (who, origin, 'dead_letter.redact', 'dead letter ' || letter_id, because);
    return 'redacted';
end
$$;
comment on function redact_dead_letter(bigint, text, text, text) is
    'Replace one dead letter''s payload by its digest and write down who did it, with the owner''s rights and nothing more.';
revoke all on function redact_dead_letter(bigint, text, text, text) from public;

-- migrate:down

drop function redact_dead_letter(bigint, text, text, text);
drop table erased_letters;
alter table dead_letters drop column redacted_at;

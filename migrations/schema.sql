-- The schema after all migrations; written by `python -m runtime.schema_dump`, not by hand.

CREATE SCHEMA public;

COMMENT ON SCHEMA public IS 'standard public schema';

CREATE FUNCTION public.chain_operator_action() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
declare
    head public.operator_action_heads%rowtype;
begin
    select * into strict head from public.operator_action_heads for update;
    new.id := head.last_id + 1;
    new.acted_at := clock_timestamp();
    new.db_role := session_user;
    new.hash := public.hash_operator_action(head.hash, new);
    update public.operator_action_heads set last_id = new.id, hash = new.hash;
    return new;
end
$$;

COMMENT ON FUNCTION public.chain_operator_action() IS 'One after the other: whoever writes an action waits until the one before is committed, so note it last.';

CREATE TABLE public.operator_actions (
    id bigint NOT NULL,
    acted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    who text NOT NULL,
    origin text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    because text NOT NULL,
    db_role text DEFAULT SESSION_USER NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT operator_actions_action_check CHECK ((action ~ '^[a-z_.]{1,64}$'::text)),
    CONSTRAINT operator_actions_because_check CHECK ((length(because) <= 500)),
    CONSTRAINT operator_actions_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT operator_actions_origin_check CHECK (((length(origin) >= 1) AND (length(origin) <= 128))),
    CONSTRAINT operator_actions_target_check CHECK ((length(target) <= 400)),
    CONSTRAINT operator_actions_who_check CHECK (((length(who) >= 1) AND (length(who) <= 128)))
);

COMMENT ON TABLE public.operator_actions IS 'What people did or looked at in clear: who, from where, what, on what, why, when. Rows are only added.';

COMMENT ON COLUMN public.operator_actions.db_role IS 'the role that wrote the row, as Postgres knows it: nobody can name another';

COMMENT ON COLUMN public.operator_actions.hash IS 'of this row and of the one before; the trigger gives id, time, role and hash, nobody else can';

CREATE FUNCTION public.hash_operator_action(before bytea, action public.operator_actions) RETURNS bytea
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select sha256(before || string_agg(convert_to(octet_length(convert_to(value, 'UTF8')) || ':' || value, 'UTF8'), ''::bytea
        order by place))
    from unnest(array[
        action.id::text, (extract(epoch from action.acted_at) * 1000000)::bigint::text, action.who, action.origin,
        action.action, action.target, action.because, action.db_role
    ]) with ordinality as field (value, place)
$$;

COMMENT ON FUNCTION public.hash_operator_action(before bytea, action public.operator_actions) IS 'SHA-256 of the hash before and of each value behind its length; `ratchet audit verify` computes the same.';

CREATE FUNCTION public.redact_dead_letter(letter_id bigint, who text, origin text, because text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $_$
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
$_$;

COMMENT ON FUNCTION public.redact_dead_letter(letter_id bigint, who text, origin text, because text) IS 'Replace one dead letter''s payload by its digest and write down who did it, with the owner''s rights and nothing more.';

CREATE TABLE public.payments (
    id uuid NOT NULL,
    provider text NOT NULL,
    account text NOT NULL,
    provider_ref text,
    client text,
    reference text,
    merged_into uuid,
    status text NOT NULL,
    refund_status text NOT NULL,
    dispute_status text NOT NULL,
    currency text,
    amount bigint NOT NULL,
    authorized bigint NOT NULL,
    captured bigint NOT NULL,
    refunded bigint NOT NULL,
    disputed bigint NOT NULL,
    version bigint NOT NULL,
    facts jsonb NOT NULL,
    head_hash bytea NOT NULL,
    head_xid bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    phone text,
    merchant_account text DEFAULT ''::text NOT NULL,
    livemode boolean DEFAULT true NOT NULL,
    intent_id uuid,
    metadata jsonb,
    flags text[] DEFAULT '{}'::text[] NOT NULL,
    flagged_at timestamp with time zone,
    CONSTRAINT payments_account_check CHECK ((length(account) <= 64)),
    CONSTRAINT payments_amount_check CHECK ((amount >= 0)),
    CONSTRAINT payments_authorized_check CHECK ((authorized >= 0)),
    CONSTRAINT payments_captured_check CHECK ((captured >= 0)),
    CONSTRAINT payments_check CHECK ((merged_into <> id)),
    CONSTRAINT payments_check1 CHECK ((updated_at >= created_at)),
    CONSTRAINT payments_check2 CHECK ((intent_id <> id)),
    CONSTRAINT payments_client_check CHECK (((length(client) >= 1) AND (length(client) <= 64))),
    CONSTRAINT payments_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT payments_dispute_status_check CHECK ((dispute_status = ANY (ARRAY['none'::text, 'inquiry'::text, 'open'::text, 'under_review'::text, 'won'::text, 'lost'::text, 'prevented'::text]))),
    CONSTRAINT payments_disputed_check CHECK ((disputed >= 0)),
    CONSTRAINT payments_facts_check CHECK ((jsonb_typeof(facts) = 'object'::text)),
    CONSTRAINT payments_flagged_at_check CHECK (((flags <> '{}'::text[]) OR (flagged_at IS NULL))),
    CONSTRAINT payments_flags_check CHECK ((flags <@ ARRAY['amount_differs'::text, 'contradiction'::text, 'other_currency'::text, 'over_captured'::text, 'over_refunded'::text, 'paid_again'::text, 'underpaid'::text])),
    CONSTRAINT payments_head_hash_check CHECK ((length(head_hash) = ANY (ARRAY[0, 32]))),
    CONSTRAINT payments_head_xid_check CHECK ((head_xid >= 0)),
    CONSTRAINT payments_merchant_account_check CHECK ((length(merchant_account) <= 255)),
    CONSTRAINT payments_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT payments_phone_check CHECK ((phone ~ '^\+[1-9][0-9]{6,14}$'::text)),
    CONSTRAINT payments_provider_check CHECK (((length(provider) >= 1) AND (length(provider) <= 64))),
    CONSTRAINT payments_provider_ref_check CHECK (((length(provider_ref) >= 1) AND (length(provider_ref) <= 255))),
    CONSTRAINT payments_reference_check CHECK (((length(reference) >= 1) AND (length(reference) <= 255))),
    CONSTRAINT payments_refund_status_check CHECK ((refund_status = ANY (ARRAY['none'::text, 'pending'::text, 'partial'::text, 'full'::text]))),
    CONSTRAINT payments_refunded_check CHECK ((refunded >= 0)),
    CONSTRAINT payments_status_check CHECK ((status = ANY (ARRAY['created'::text, 'requires_action'::text, 'processing'::text, 'authorized'::text, 'partially_captured'::text, 'captured'::text, 'failed'::text, 'canceled'::text, 'expired'::text]))),
    CONSTRAINT payments_version_check CHECK ((version >= 0))
)
WITH (fillfactor='70');

COMMENT ON TABLE public.payments IS 'One row a payment: what its facts come to. No index on columns that every event changes.';

COMMENT ON COLUMN public.payments.facts IS '{"kind:key": [state, amount, parent, version, replaces, low]}, short at the end: the join of all facts of the ledger';

COMMENT ON COLUMN public.payments.head_hash IS 'hash of the payment''s newest ledger row';

COMMENT ON COLUMN public.payments.head_xid IS 'relay_xid of the payment''s newest ledger row';

COMMENT ON COLUMN public.payments.phone IS 'the customer''s number (E.164) as the intent gave it';

COMMENT ON COLUMN public.payments.merchant_account IS 'the merchant account that the body names under its signature (of an intent: that it asked for); empty where none';

COMMENT ON COLUMN public.payments.livemode IS 'false: test money, which never mixes with live and is left out of sums';

COMMENT ON COLUMN public.payments.intent_id IS 'of an attempt: the intent''s payment that has adopted it. Rows without merged_into and intent_id add up to all money';

COMMENT ON COLUMN public.payments.metadata IS 'what the client noted on its intent';

COMMENT ON COLUMN public.payments.flags IS 'what does not add up, as the facts say it; empty where all does';

COMMENT ON COLUMN public.payments.flagged_at IS 'since when the payment has had a flag without a pause';

CREATE FUNCTION public.surviving_payment(asked uuid) RETURNS TABLE(id uuid)
    LANGUAGE sql STABLE ROWS 1
    BEGIN ATOMIC
 WITH RECURSIVE followed AS (
          SELECT payments.id,
             payments.merged_into
            FROM public.payments
           WHERE (payments.id = surviving_payment.asked)
         UNION
          SELECT payments.id,
             payments.merged_into
            FROM (public.payments
              JOIN followed followed_1 ON ((payments.id = followed_1.merged_into)))
         )
  SELECT followed.id
    FROM followed
   WHERE (followed.merged_into IS NULL);
END;

COMMENT ON FUNCTION public.surviving_payment(asked uuid) IS 'The payment that a payment turned out to be, after any number of merges; no row where there is none.';

CREATE TABLE public.anchor_without_payment (
    single boolean DEFAULT true NOT NULL,
    ledger_id bigint DEFAULT 0 NOT NULL,
    rows_removed bigint DEFAULT 0 NOT NULL,
    mac bytea,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT anchor_without_payment_ledger_id_check CHECK ((ledger_id >= 0)),
    CONSTRAINT anchor_without_payment_mac_check CHECK ((length(mac) = 32)),
    CONSTRAINT anchor_without_payment_rows_removed_check CHECK ((rows_removed >= 0)),
    CONSTRAINT anchor_without_payment_single_check CHECK (single)
);

COMMENT ON TABLE public.anchor_without_payment IS 'How many ledger rows of no payment retention removed, and the highest id among them.';

COMMENT ON COLUMN public.anchor_without_payment.mac IS 'signature under RATCHET_AUDIT__SEAL_KEY, where retention had one';

CREATE TABLE public.body_claims (
    source text NOT NULL,
    digest bytea NOT NULL,
    event_id text NOT NULL,
    CONSTRAINT body_claims_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT body_claims_event_id_check CHECK (((length(event_id) >= 1) AND (length(event_id) <= 400))),
    CONSTRAINT body_claims_source_check CHECK (((length(source) >= 1) AND (length(source) <= 192)))
);

COMMENT ON TABLE public.body_claims IS 'Bodies that were taken from senders whose event ids are unsigned: a replay under another id is no new event.';

CREATE VIEW public.captures AS
 SELECT p.id AS payment_id,
    substr(f.key, 9) AS capture_id,
    (f.value ->> 0) AS state,
    ((f.value ->> 1))::bigint AS amount
   FROM (public.payments p
     CROSS JOIN LATERAL jsonb_each(p.facts) f(key, value))
  WHERE ((p.merged_into IS NULL) AND (f.key ~~ 'capture:%'::text));

COMMENT ON VIEW public.captures IS 'The captures of every payment, as its facts have them. Amounts are minor units.';

CREATE TABLE public.commands (
    id bigint NOT NULL,
    payment_id uuid NOT NULL,
    command_id text NOT NULL,
    client text NOT NULL,
    command text NOT NULL,
    attempt_id uuid NOT NULL,
    provider text NOT NULL,
    account text NOT NULL,
    merchant_account text NOT NULL,
    livemode boolean NOT NULL,
    provider_ref text,
    reference text,
    currency text,
    amount bigint,
    seen bigint,
    reason text,
    metadata jsonb,
    traceparent text,
    state text,
    refusal text,
    asked_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    relay_xid bigint NOT NULL,
    CONSTRAINT commands_account_check CHECK ((length(account) <= 64)),
    CONSTRAINT commands_amount_check CHECK ((amount > 0)),
    CONSTRAINT commands_client_check CHECK (((length(client) >= 1) AND (length(client) <= 64))),
    CONSTRAINT commands_command_check CHECK ((command = ANY (ARRAY['capture'::text, 'cancel'::text, 'refund'::text]))),
    CONSTRAINT commands_command_id_check CHECK (((length(command_id) >= 1) AND (length(command_id) <= 400))),
    CONSTRAINT commands_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT commands_expire_after_they_were_asked CHECK ((expires_at > asked_at)),
    CONSTRAINT commands_merchant_account_check CHECK ((length(merchant_account) <= 255)),
    CONSTRAINT commands_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT commands_of_money_have_an_amount CHECK (((state IS NOT NULL) OR ((command = 'cancel'::text) = (amount IS NULL)))),
    CONSTRAINT commands_provider_check CHECK (((length(provider) >= 1) AND (length(provider) <= 64))),
    CONSTRAINT commands_provider_ref_check CHECK ((length(provider_ref) <= 255)),
    CONSTRAINT commands_reason_check CHECK ((length(reason) <= 255)),
    CONSTRAINT commands_reference_check CHECK ((length(reference) <= 255)),
    CONSTRAINT commands_refusal_check CHECK ((length(refusal) <= 255)),
    CONSTRAINT commands_refusal_is_of_a_refused CHECK (((refusal IS NULL) OR (NOT (state IS DISTINCT FROM 'refused'::text)))),
    CONSTRAINT commands_relay_xid_check CHECK ((relay_xid > 0)),
    CONSTRAINT commands_seen_check CHECK ((seen >= 0)),
    CONSTRAINT commands_state_check CHECK ((state = ANY (ARRAY['accepted'::text, 'refused'::text, 'done'::text]))),
    CONSTRAINT commands_traceparent_check CHECK ((length(traceparent) <= 255))
);

COMMENT ON TABLE public.commands IS 'Commands of clients that were checked, as payments.commands has them, and what became of each.';

COMMENT ON COLUMN public.commands.command_id IS 'the command''s event id, and the provider''s idempotency key';

COMMENT ON COLUMN public.commands.attempt_id IS 'the payment at the provider that it is for; it stays when adoption changes';

COMMENT ON COLUMN public.commands.seen IS 'of a capture or refund: what the attempt''s facts showed of its kind when it was checked, in minor units';

COMMENT ON COLUMN public.commands.state IS 'what its executor answered last; null while nobody did. Refused also where the consumer found no room';

COMMENT ON COLUMN public.commands.expires_at IS 'nobody begins it later; a grace period after that silence frees its money';

COMMENT ON COLUMN public.commands.relay_xid IS 'that of the command''s ledger row: relay order is (relay_xid, id), which is the order of a payment''s commands';

ALTER TABLE public.commands ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.commands_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.console_keys (
    only_one boolean DEFAULT true NOT NULL,
    signing_key bytea NOT NULL,
    password_hash text NOT NULL,
    made_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT console_keys_only_one_check CHECK (only_one),
    CONSTRAINT console_keys_password_hash_check CHECK (((length(password_hash) >= 16) AND (length(password_hash) <= 512))),
    CONSTRAINT console_keys_signing_key_check CHECK ((length(signing_key) = 32))
);

COMMENT ON TABLE public.console_keys IS 'What signs the console''s cookies: random, so that no cookie tells anything of the password. Another password, another key.';

CREATE TABLE public.console_sessions (
    digest bytea NOT NULL,
    person text NOT NULL,
    address text NOT NULL,
    began_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    used_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    operator_id bigint,
    role text,
    CONSTRAINT console_sessions_address_check CHECK (((length(address) >= 1) AND (length(address) <= 64))),
    CONSTRAINT console_sessions_check CHECK ((used_at >= began_at)),
    CONSTRAINT console_sessions_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT console_sessions_person_check CHECK (((length(person) >= 1) AND (length(person) <= 128))),
    CONSTRAINT console_sessions_role CHECK (((role IS NULL) OR (operator_id IS NULL))),
    CONSTRAINT console_sessions_role_check CHECK ((role = ANY (ARRAY['viewer'::text, 'operator'::text, 'admin'::text])))
);

COMMENT ON TABLE public.console_sessions IS 'Who is signed in to the console; a row that is gone is a session that ended, in every replica.';

COMMENT ON COLUMN public.console_sessions.digest IS 'SHA-256 of the session''s id: whoever reads the table can''t take a session over';

COMMENT ON COLUMN public.console_sessions.operator_id IS 'whose it is; null for the emergency password. Whoever is removed is signed out, and comes back under no old session';

COMMENT ON COLUMN public.console_sessions.role IS 'what somebody may do whom an OpenID provider signed in: as its claim said then; null for people of ours and the emergency password';

CREATE TABLE public.consumer_ends (
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    owner uuid NOT NULL,
    noted_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT consumer_ends_offset_check CHECK (("offset" >= 0)),
    CONSTRAINT consumer_ends_partition_check CHECK ((partition >= 0)),
    CONSTRAINT consumer_ends_topic_check CHECK ((length(topic) <= 249))
);

COMMENT ON TABLE public.consumer_ends IS 'Which processes ended by themselves with exactly this record in hand; two of them convict it.';

CREATE TABLE public.consumer_marks (
    topic text NOT NULL,
    partition integer NOT NULL,
    start_offset bigint NOT NULL,
    unclean_ends integer NOT NULL,
    probing_offset bigint,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    owner uuid,
    careful_until bigint,
    CONSTRAINT consumer_marks_check CHECK ((probing_offset >= start_offset)),
    CONSTRAINT consumer_marks_check1 CHECK ((careful_until > start_offset)),
    CONSTRAINT consumer_marks_partition_check CHECK ((partition >= 0)),
    CONSTRAINT consumer_marks_start_offset_check CHECK ((start_offset >= 0)),
    CONSTRAINT consumer_marks_topic_check CHECK ((length(topic) <= 249)),
    CONSTRAINT consumer_marks_unclean_ends_check CHECK ((unclean_ends >= 0))
);

COMMENT ON TABLE public.consumer_marks IS 'Where a consumer took a partition up and how often processes ended there: finds the record that kills the process.';

COMMENT ON COLUMN public.consumer_marks.probing_offset IS 'the record that the owner has in hand, alone';

COMMENT ON COLUMN public.consumer_marks.owner IS 'the process that works there; null: it let go';

COMMENT ON COLUMN public.consumer_marks.careful_until IS 'records before this offset are touched one by one';

CREATE TABLE public.consumer_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT consumer_offsets_next_offset_check CHECK ((next_offset >= 0)),
    CONSTRAINT consumer_offsets_partition_check CHECK ((partition >= 0)),
    CONSTRAINT consumer_offsets_topic_check CHECK ((length(topic) <= 249))
)
WITH (fillfactor='50');

COMMENT ON TABLE public.consumer_offsets IS 'Everything of a partition before next_offset is in this database; written before the same is committed to Kafka.';

CREATE TABLE public.dead_letter_notes (
    id bigint NOT NULL,
    reason text,
    source text,
    event_type text,
    redrive_id bigint,
    note text NOT NULL,
    author text NOT NULL,
    made_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    silent_until timestamp with time zone NOT NULL,
    ended_by text,
    ended_at timestamp with time zone,
    CONSTRAINT dead_letter_notes_about CHECK (((reason IS NULL) = (redrive_id IS NOT NULL))),
    CONSTRAINT dead_letter_notes_author_check CHECK (((length(author) >= 1) AND (length(author) <= 128))),
    CONSTRAINT dead_letter_notes_check CHECK ((silent_until > made_at)),
    CONSTRAINT dead_letter_notes_ended CHECK (((ended_by IS NULL) = (ended_at IS NULL))),
    CONSTRAINT dead_letter_notes_ended_by_check CHECK (((length(ended_by) >= 1) AND (length(ended_by) <= 128))),
    CONSTRAINT dead_letter_notes_event_type_check CHECK (((length(event_type) >= 1) AND (length(event_type) <= 400))),
    CONSTRAINT dead_letter_notes_note_check CHECK (((length(note) >= 1) AND (length(note) <= 500))),
    CONSTRAINT dead_letter_notes_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 64))),
    CONSTRAINT dead_letter_notes_redrive CHECK (((redrive_id IS NULL) OR ((source IS NULL) AND (event_type IS NULL)))),
    CONSTRAINT dead_letter_notes_source_check CHECK (((length(source) >= 1) AND (length(source) <= 400)))
);

COMMENT ON TABLE public.dead_letter_notes IS 'What people know of a group of dead letters (reason, source, kind) or of a redrive, and until when nobody is called for them.';

ALTER TABLE public.dead_letter_notes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dead_letter_notes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.dead_letters (
    id bigint NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    digest bytea NOT NULL,
    timestamp_ms bigint NOT NULL,
    key bytea,
    value bytea,
    header_names bytea[] NOT NULL,
    header_values bytea[] NOT NULL,
    source text,
    event_id text,
    event_type text,
    payment_ref text,
    reason text NOT NULL,
    message text NOT NULL,
    status text DEFAULT 'open'::text NOT NULL,
    delivery_count integer DEFAULT 1 NOT NULL,
    redrive_count integer DEFAULT 0 NOT NULL,
    relay_xid bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    redacted_at timestamp with time zone,
    CONSTRAINT dead_letters_delivery_count_check CHECK ((delivery_count >= 1)),
    CONSTRAINT dead_letters_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT dead_letters_event_id_check CHECK (((length(event_id) >= 1) AND (length(event_id) <= 400))),
    CONSTRAINT dead_letters_event_type_check CHECK ((length(event_type) <= 255)),
    CONSTRAINT dead_letters_headers_pair CHECK ((cardinality(header_names) = cardinality(header_values))),
    CONSTRAINT dead_letters_message_check CHECK ((length(message) <= 1000)),
    CONSTRAINT dead_letters_offset_check CHECK (("offset" >= 0)),
    CONSTRAINT dead_letters_partition_check CHECK ((partition >= 0)),
    CONSTRAINT dead_letters_payment_ref_check CHECK ((length(payment_ref) <= 255)),
    CONSTRAINT dead_letters_reason_check CHECK ((reason = ANY (ARRAY['undecodable'::text, 'unknown_kind'::text, 'conflict'::text, 'orphan'::text, 'data_rejected'::text, 'unexpected'::text, 'fatal'::text]))),
    CONSTRAINT dead_letters_redrive_count_check CHECK ((redrive_count >= 0)),
    CONSTRAINT dead_letters_relay_xid_check CHECK ((relay_xid > 0)),
    CONSTRAINT dead_letters_source_check CHECK (((length(source) >= 1) AND (length(source) <= 192))),
    CONSTRAINT dead_letters_status_check CHECK ((status = ANY (ARRAY['open'::text, 'redriven'::text, 'applied'::text, 'discarded'::text]))),
    CONSTRAINT dead_letters_topic_check CHECK ((length(topic) <= 249))
);

COMMENT ON TABLE public.dead_letters IS 'Records that could not be settled, byte for byte, with the place they came from.';

COMMENT ON COLUMN public.dead_letters.digest IS 'SHA-256 of key and value: a topic made anew never swallows a letter';

COMMENT ON COLUMN public.dead_letters.redacted_at IS 'since when the row holds a digest in place of the payload';

ALTER TABLE public.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.debits (
    provider text NOT NULL,
    account text NOT NULL,
    ref text NOT NULL,
    noted_at timestamp with time zone DEFAULT now() NOT NULL,
    asked_at timestamp with time zone,
    until timestamp with time zone NOT NULL,
    CONSTRAINT debits_account_check CHECK ((length(account) <= 64)),
    CONSTRAINT debits_provider_check CHECK (((length(provider) >= 1) AND (length(provider) <= 64))),
    CONSTRAINT debits_ref_check CHECK (((length(ref) >= 1) AND (length(ref) <= 255)))
);

COMMENT ON TABLE public.debits IS 'Payments whose money a bank may take back by itself until then: their provider is asked again.';

CREATE TABLE public.discards (
    dead_letter_id bigint NOT NULL,
    discarded_by text NOT NULL,
    because text NOT NULL,
    discarded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT discards_because_check CHECK (((length(because) >= 1) AND (length(because) <= 500))),
    CONSTRAINT discards_discarded_by_check CHECK (((length(discarded_by) >= 1) AND (length(discarded_by) <= 128)))
);

COMMENT ON TABLE public.discards IS 'Who gave a dead letter up, why and when. The letter''s bytes stay.';

CREATE VIEW public.disputes AS
 SELECT p.id AS payment_id,
    substr(f.key, 9) AS dispute_id,
    (f.value ->> 0) AS state,
    (( SELECT sum(((m.value ->> 1))::bigint) AS sum
           FROM jsonb_each(p.facts) m(key, value)
          WHERE ((m.key ~~ 'dispute_out:%'::text) AND (COALESCE((m.value ->> 2), substr(m.key, 13)) = substr(f.key, 9)))))::bigint AS withdrawn,
    (( SELECT sum(((m.value ->> 1))::bigint) AS sum
           FROM jsonb_each(p.facts) m(key, value)
          WHERE ((m.key ~~ 'dispute_in:%'::text) AND (COALESCE((m.value ->> 2), substr(m.key, 12)) = substr(f.key, 9)))))::bigint AS reinstated
   FROM (public.payments p
     CROSS JOIN LATERAL jsonb_each(p.facts) f(key, value))
  WHERE ((p.merged_into IS NULL) AND (f.key ~~ 'dispute:%'::text));

COMMENT ON VIEW public.disputes IS 'The disputes of every payment, with the money that each took and gave back in all its rounds.';

CREATE TABLE public.dlq_positions (
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    topic_id uuid,
    CONSTRAINT dlq_positions_next_offset_check CHECK ((next_offset >= 0)),
    CONSTRAINT dlq_positions_partition_check CHECK ((partition >= 0))
);

COMMENT ON TABLE public.dlq_positions IS 'How far payments.dlq was looked through for letters that other tools put there.';

COMMENT ON COLUMN public.dlq_positions.topic_id IS 'Kafka''s id of the topic that was looked through; null where brokers gave none: then the first one that is found counts';

CREATE TABLE public.epochs (
    epoch bigint NOT NULL,
    timeline bigint NOT NULL,
    because text NOT NULL,
    began_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT epochs_because_check CHECK (((length(because) >= 1) AND (length(because) <= 200))),
    CONSTRAINT epochs_epoch_check CHECK ((epoch > 0)),
    CONSTRAINT epochs_timeline_check CHECK ((timeline > 0))
);

COMMENT ON TABLE public.epochs IS 'When versions began to count anew, and why; the largest counts, and stands in payments.changes. Seconds since 1970, so that a copy that is restored twice gives two.';

COMMENT ON COLUMN public.epochs.timeline IS 'Postgres'' timeline: another one is a promoted replica or a recovery to a point in time';

CREATE TABLE public.erased_letters (
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    digest bytea NOT NULL,
    erased_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT erased_letters_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT erased_letters_offset_check CHECK (("offset" >= 0)),
    CONSTRAINT erased_letters_partition_check CHECK ((partition >= 0)),
    CONSTRAINT erased_letters_topic_check CHECK ((length(topic) <= 249))
);

COMMENT ON TABLE public.erased_letters IS 'Dead letters that were redacted or removed: what payments.dlq still holds of them is never taken in again.';

CREATE TABLE public.intent_claims (
    client text NOT NULL,
    idempotency_key uuid NOT NULL,
    fingerprint bytea NOT NULL,
    command text NOT NULL,
    payment_id uuid NOT NULL,
    event_id text NOT NULL,
    record_key text NOT NULL,
    provider text,
    account text,
    reference text,
    provider_ref text,
    currency text,
    amount bigint,
    seen bigint,
    answer bytea NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    merchant_account text,
    livemode boolean,
    metadata jsonb,
    state text,
    refusal text,
    attempt_id uuid,
    CONSTRAINT intent_claims_account_check CHECK ((length(account) <= 64)),
    CONSTRAINT intent_claims_amount_check CHECK ((amount > 0)),
    CONSTRAINT intent_claims_client_check CHECK (((length(client) >= 1) AND (length(client) <= 64))),
    CONSTRAINT intent_claims_command_check CHECK ((command = ANY (ARRAY['create'::text, 'capture'::text, 'cancel'::text, 'refund'::text]))),
    CONSTRAINT intent_claims_create_has_no_state CHECK (((command <> 'create'::text) OR (state IS NULL))),
    CONSTRAINT intent_claims_create_is_whole CHECK ((((command = 'create'::text) = ((provider IS NOT NULL) AND (account IS NOT NULL))) AND ((command <> 'create'::text) OR ((currency IS NOT NULL) AND (amount IS NOT NULL))))),
    CONSTRAINT intent_claims_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT intent_claims_event_id_check CHECK (((length(event_id) >= 1) AND (length(event_id) <= 400))),
    CONSTRAINT intent_claims_fingerprint_check CHECK ((length(fingerprint) = 32)),
    CONSTRAINT intent_claims_lasts_a_day CHECK ((expires_at >= (created_at + '23:59:00'::interval))),
    CONSTRAINT intent_claims_merchant_account_check CHECK ((length(merchant_account) <= 255)),
    CONSTRAINT intent_claims_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT intent_claims_provider_check CHECK (((length(provider) >= 1) AND (length(provider) <= 64))),
    CONSTRAINT intent_claims_provider_ref_check CHECK (((length(provider_ref) >= 1) AND (length(provider_ref) <= 255))),
    CONSTRAINT intent_claims_record_key_check CHECK (((length(record_key) >= 1) AND (length(record_key) <= 255))),
    CONSTRAINT intent_claims_reference_check CHECK (((length(reference) >= 1) AND (length(reference) <= 255))),
    CONSTRAINT intent_claims_refusal_check CHECK ((length(refusal) <= 255)),
    CONSTRAINT intent_claims_refusal_is_of_a_refused CHECK (((refusal IS NULL) OR (NOT (state IS DISTINCT FROM 'refused'::text)))),
    CONSTRAINT intent_claims_seen_check CHECK ((seen >= 0)),
    CONSTRAINT intent_claims_state_check CHECK ((state = ANY (ARRAY['accepted'::text, 'refused'::text, 'done'::text])))
);

COMMENT ON TABLE public.intent_claims IS 'What clients asked for, by Idempotency-Key, with the answer they got: written with the event in the spool, or not at all.';

COMMENT ON COLUMN public.intent_claims.fingerprint IS 'SHA-256 of command, payment and body: the same key for another request is refused';

COMMENT ON COLUMN public.intent_claims.record_key IS 'the Kafka key of all records of the payment that the API publishes';

COMMENT ON COLUMN public.intent_claims.seen IS 'of a capture or refund: what the payment''s facts showed of its kind when it was asked for, in minor units';

COMMENT ON COLUMN public.intent_claims.metadata IS 'of a create: what the client noted, until the payment is there';

COMMENT ON COLUMN public.intent_claims.state IS 'of a command: what its executor answered last; null while nobody did';

COMMENT ON COLUMN public.intent_claims.refusal IS 'why the executor refused it';

COMMENT ON COLUMN public.intent_claims.attempt_id IS 'of a command: the payment at the provider that it is for';

CREATE TABLE public.leases (
    name text NOT NULL,
    holder text NOT NULL,
    token bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT leases_holder_check CHECK (((length(holder) >= 1) AND (length(holder) <= 128))),
    CONSTRAINT leases_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT leases_token_check CHECK ((token > 0))
);

COMMENT ON TABLE public.leases IS 'Who may act where one must; a write names the fencing token it was given.';

CREATE TABLE public.ledger_anchors (
    payment_id uuid NOT NULL,
    hash bytea NOT NULL,
    version bigint NOT NULL,
    rows_removed bigint NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    relay_xid bigint NOT NULL,
    ledger_id bigint NOT NULL,
    facts text NOT NULL,
    mac bytea,
    CONSTRAINT ledger_anchors_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT ledger_anchors_ledger_id_check CHECK ((ledger_id >= 0)),
    CONSTRAINT ledger_anchors_mac_check CHECK ((length(mac) = 32)),
    CONSTRAINT ledger_anchors_relay_xid_check CHECK ((relay_xid >= 0)),
    CONSTRAINT ledger_anchors_rows_removed_check CHECK ((rows_removed > 0)),
    CONSTRAINT ledger_anchors_version_check CHECK ((version >= 0))
);

COMMENT ON TABLE public.ledger_anchors IS 'Where a payment''s chain begins since retention removed its oldest rows: the hash and version of the last of them.';

COMMENT ON COLUMN public.ledger_anchors.ledger_id IS 'the last row removed; with relay_xid its place in the ledger';

COMMENT ON COLUMN public.ledger_anchors.facts IS 'what the rows removed had said, joined; as payments.facts, but as it was written';

COMMENT ON COLUMN public.ledger_anchors.mac IS 'signature of the anchor under RATCHET_AUDIT__SEAL_KEY, where retention had one';

CREATE TABLE public.redrive_messages (
    redrive_id bigint NOT NULL,
    dead_letter_id bigint NOT NULL,
    would text NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    detail text,
    claimed_at timestamp with time zone,
    published_at timestamp with time zone,
    CONSTRAINT redrive_messages_claimed CHECK (((status = ANY (ARRAY['publishing'::text, 'published'::text])) = (claimed_at IS NOT NULL))),
    CONSTRAINT redrive_messages_detail_check CHECK ((length(detail) <= 500)),
    CONSTRAINT redrive_messages_published CHECK (((status = 'published'::text) = (published_at IS NOT NULL))),
    CONSTRAINT redrive_messages_skipped CHECK (((status = 'skipped'::text) <= (detail IS NOT NULL))),
    CONSTRAINT redrive_messages_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'publishing'::text, 'published'::text, 'skipped'::text]))),
    CONSTRAINT redrive_messages_would_check CHECK ((would = ANY (ARRAY['apply'::text, 'noop'::text, 'illegal'::text, 'orphan'::text])))
);

COMMENT ON TABLE public.redrive_messages IS 'The audit of redrives, one row a letter: what was foreseen, what was done, when.';

COMMENT ON COLUMN public.redrive_messages.status IS 'publishing: the letter is marked redriven and its record may or may not be in Kafka; it is published (again) next';

CREATE VIEW public.redrive_returns AS
 SELECT m.redrive_id,
    m.dead_letter_id,
    m.would,
    again.id AS returned_id,
    again.reason
   FROM ((public.redrive_messages m
     JOIN public.dead_letters old ON ((old.id = m.dead_letter_id)))
     CROSS JOIN LATERAL ( SELECT a.id,
            a.reason
           FROM public.dead_letters a
          WHERE ((a.digest = old.digest) AND (a.redrive_count = (old.redrive_count + 1)) AND (a.redrive_count > 0) AND (a.id > old.id) AND (NOT (a.source IS DISTINCT FROM old.source)) AND (NOT (a.event_id IS DISTINCT FROM old.event_id)))
          ORDER BY a.id
         LIMIT 1) again)
  WHERE (m.status = ANY (ARRAY['publishing'::text, 'published'::text]));

COMMENT ON VIEW public.redrive_returns IS 'Redriven letters that failed anew, and the letter that each came back as.';

CREATE VIEW public.noted_dead_letters AS
 SELECT d.id,
    d.reason,
    n.id AS note_id
   FROM (public.dead_letter_notes n
     JOIN public.dead_letters d ON (((d.status = 'open'::text) AND (d.reason = n.reason) AND (NOT (d.source IS DISTINCT FROM n.source)) AND (NOT (d.event_type IS DISTINCT FROM n.event_type)))))
  WHERE ((n.ended_at IS NULL) AND (n.silent_until > statement_timestamp()))
UNION ALL
 SELECT d.id,
    d.reason,
    n.id AS note_id
   FROM ((public.dead_letter_notes n
     JOIN public.redrive_returns r ON ((r.redrive_id = n.redrive_id)))
     JOIN public.dead_letters d ON (((d.status = 'open'::text) AND (d.id = r.returned_id))))
  WHERE ((n.ended_at IS NULL) AND (n.silent_until > statement_timestamp()));

COMMENT ON VIEW public.noted_dead_letters IS 'Open dead letters with a note that stands: a row for each note that speaks of one.';

CREATE TABLE public.operator_action_heads (
    only_one boolean DEFAULT true NOT NULL,
    last_id bigint DEFAULT 0 NOT NULL,
    hash bytea DEFAULT '\x'::bytea NOT NULL,
    CONSTRAINT operator_action_heads_check CHECK ((length(hash) =
CASE last_id
    WHEN 0 THEN 0
    ELSE 32
END)),
    CONSTRAINT operator_action_heads_last_id_check CHECK ((last_id >= 0)),
    CONSTRAINT operator_action_heads_only_one_check CHECK (only_one)
);

COMMENT ON TABLE public.operator_action_heads IS 'Where the chain of what people did ends: a row that is taken off its end shows.';

CREATE TABLE public.operator_tokens (
    id bigint NOT NULL,
    operator_id bigint NOT NULL,
    role text NOT NULL,
    digest bytea NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    made_by text NOT NULL,
    made_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT operator_tokens_check CHECK ((ends_at > made_at)),
    CONSTRAINT operator_tokens_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT operator_tokens_made_by_check CHECK (((length(made_by) >= 1) AND (length(made_by) <= 128))),
    CONSTRAINT operator_tokens_role_check CHECK ((role = ANY (ARRAY['viewer'::text, 'operator'::text, 'admin'::text])))
);

COMMENT ON TABLE public.operator_tokens IS 'What opens /admin/v1 for a person, until its end: never for more than the person may do.';

COMMENT ON COLUMN public.operator_tokens.digest IS 'SHA-256 of the token, which has 256 random bits: whoever reads the table can''t use one';

ALTER TABLE public.operator_tokens ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.operator_tokens_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.operators (
    id bigint NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    password_hash text NOT NULL,
    one_time_until timestamp with time zone,
    added_by text NOT NULL,
    added_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    signed_in_at timestamp with time zone,
    CONSTRAINT operators_added_by_check CHECK (((length(added_by) >= 1) AND (length(added_by) <= 128))),
    CONSTRAINT operators_name_check CHECK (((name ~ '^[a-z0-9][a-z0-9._@+-]{0,62}$'::text) AND (name <> ALL (ARRAY['emergency'::text, 'unnamed'::text, 'unknown'::text])))),
    CONSTRAINT operators_password_hash_check CHECK (((length(password_hash) >= 16) AND (length(password_hash) <= 512))),
    CONSTRAINT operators_role_check CHECK ((role = ANY (ARRAY['viewer'::text, 'operator'::text, 'admin'::text])))
);

COMMENT ON TABLE public.operators IS 'The people of the console: what each may do at most, and the hash of a password.';

COMMENT ON COLUMN public.operators.one_time_until IS 'until when the password that `ratchet operator add` printed opens the page for choosing one''s own; null once chosen';

ALTER TABLE public.operators ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.operators_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.orphan_refs (
    provider text NOT NULL,
    account text NOT NULL,
    merchant_account text NOT NULL,
    livemode boolean NOT NULL,
    kind text NOT NULL,
    ref text NOT NULL,
    letter_id bigint NOT NULL
);

COMMENT ON TABLE public.orphan_refs IS 'The references on which dead letters of orphans wait.';

CREATE TABLE public.outcome_counts (
    seconds integer NOT NULL,
    began_at timestamp with time zone NOT NULL,
    provider text NOT NULL,
    outcome text NOT NULL,
    detail text NOT NULL,
    events bigint NOT NULL,
    CONSTRAINT outcome_counts_detail_check CHECK ((length(detail) <= 64)),
    CONSTRAINT outcome_counts_events_check CHECK ((events > 0)),
    CONSTRAINT outcome_counts_outcome_check CHECK ((outcome = ANY (ARRAY['applied'::text, 'noop'::text, 'late'::text, 'conflict'::text, 'parked'::text, 'dead_letter'::text, 'refused'::text]))),
    CONSTRAINT outcome_counts_provider_check CHECK ((length(provider) <= 192)),
    CONSTRAINT outcome_counts_seconds_check CHECK ((seconds = ANY (ARRAY[60, 600, 3600])))
);

COMMENT ON TABLE public.outcome_counts IS 'What became of events, counted by the console: a row a stretch of time, provider, outcome and reason.';

COMMENT ON COLUMN public.outcome_counts.seconds IS 'how long the stretch is; the shorter ones are kept for a day, hours for a week';

COMMENT ON COLUMN public.outcome_counts.detail IS 'the reason of a dead letter, of a parked event or of a refusal; empty for the others';

CREATE TABLE public.outcome_cursors (
    only_one boolean DEFAULT true NOT NULL,
    ledger_xid bigint DEFAULT 0 NOT NULL,
    ledger_id bigint DEFAULT 0 NOT NULL,
    letters_xid bigint DEFAULT 0 NOT NULL,
    letters_id bigint DEFAULT 0 NOT NULL,
    parked_id bigint DEFAULT 0 NOT NULL,
    CONSTRAINT outcome_cursors_ledger_id_check CHECK ((ledger_id >= 0)),
    CONSTRAINT outcome_cursors_ledger_xid_check CHECK ((ledger_xid >= 0)),
    CONSTRAINT outcome_cursors_letters_id_check CHECK ((letters_id >= 0)),
    CONSTRAINT outcome_cursors_letters_xid_check CHECK ((letters_xid >= 0)),
    CONSTRAINT outcome_cursors_only_one_check CHECK (only_one),
    CONSTRAINT outcome_cursors_parked_id_check CHECK ((parked_id >= 0))
);

COMMENT ON TABLE public.outcome_cursors IS 'How far outcome_counts has counted; whoever holds the row counts on. What stood before it was made is not counted.';

CREATE TABLE public.parked_events (
    id bigint NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    event_type text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    facts jsonb NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    timestamp_ms bigint NOT NULL,
    key bytea,
    value bytea,
    header_names bytea[] NOT NULL,
    header_values bytea[] NOT NULL,
    parked_at timestamp with time zone NOT NULL,
    deadline timestamp with time zone NOT NULL,
    meaning smallint DEFAULT 0 NOT NULL,
    CONSTRAINT parked_events_check CHECK ((deadline >= parked_at)),
    CONSTRAINT parked_events_detail_check CHECK ((length(detail) <= 1000)),
    CONSTRAINT parked_events_event_id_check CHECK (((length(event_id) >= 1) AND (length(event_id) <= 400))),
    CONSTRAINT parked_events_event_type_check CHECK ((length(event_type) <= 255)),
    CONSTRAINT parked_events_facts_check CHECK ((jsonb_typeof(facts) = 'array'::text)),
    CONSTRAINT parked_events_headers_pair CHECK ((cardinality(header_names) = cardinality(header_values))),
    CONSTRAINT parked_events_meaning_check CHECK ((meaning >= 0)),
    CONSTRAINT parked_events_offset_check CHECK (("offset" >= 0)),
    CONSTRAINT parked_events_partition_check CHECK ((partition >= 0)),
    CONSTRAINT parked_events_reason_check CHECK ((reason = ANY (ARRAY['orphan'::text, 'conflict'::text]))),
    CONSTRAINT parked_events_source_check CHECK (((length(source) >= 1) AND (length(source) <= 192))),
    CONSTRAINT parked_events_topic_check CHECK ((length(topic) <= 249))
);

COMMENT ON TABLE public.parked_events IS 'Events that wait for their payment, byte for byte. reason is what they become past the deadline.';

COMMENT ON COLUMN public.parked_events.meaning IS 'the version of the provider''s meaning that the facts were read by';

ALTER TABLE public.parked_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.parked_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.parked_refs (
    provider text NOT NULL,
    account text NOT NULL,
    kind text NOT NULL,
    ref text NOT NULL,
    parked_id bigint NOT NULL,
    merchant_account text NOT NULL,
    livemode boolean NOT NULL
);

COMMENT ON TABLE public.parked_refs IS 'The references that a parked event waits on.';

CREATE TABLE public.parking_clock (
    single boolean DEFAULT true NOT NULL,
    watermark timestamp with time zone,
    moved_at timestamp with time zone,
    waits_for text DEFAULT ''::text NOT NULL,
    began_at timestamp with time zone,
    ended_at timestamp with time zone,
    after_id bigint DEFAULT 0 NOT NULL,
    CONSTRAINT parking_clock_check CHECK (((began_at IS NULL) = (ended_at IS NULL))),
    CONSTRAINT parking_clock_single_check CHECK (single),
    CONSTRAINT parking_clock_waits_for_check CHECK ((length(waits_for) <= 1000))
);

COMMENT ON TABLE public.parking_clock IS 'Up to when all that had come in was settled (watermark), and since when that did not advance (moved_at).';

COMMENT ON COLUMN public.parking_clock.began_at IS 'a standstill whose time is being added to the deadlines, up to the parked event after_id';

CREATE TABLE public.payment_logs (
    id bigint NOT NULL,
    payment_id uuid,
    source text NOT NULL,
    event_id text NOT NULL,
    event_type text NOT NULL,
    outcome text NOT NULL,
    from_status text,
    to_status text,
    amount bigint,
    version bigint,
    facts jsonb NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    occurred_at timestamp with time zone,
    recorded_at timestamp with time zone NOT NULL,
    relay_xid bigint NOT NULL,
    hash bytea NOT NULL,
    traceparent text,
    meaning smallint DEFAULT 0 NOT NULL,
    CONSTRAINT payment_logs_amount_check CHECK ((amount >= 0)),
    CONSTRAINT payment_logs_applied_has_version CHECK (((outcome <> 'applied'::text) OR (version IS NOT NULL))),
    CONSTRAINT payment_logs_event_id_check CHECK (((length(event_id) >= 1) AND (length(event_id) <= 400))),
    CONSTRAINT payment_logs_event_type_check CHECK ((length(event_type) <= 255)),
    CONSTRAINT payment_logs_facts_check CHECK ((jsonb_typeof(facts) = 'array'::text)),
    CONSTRAINT payment_logs_from_status_check CHECK ((from_status = ANY (ARRAY['created'::text, 'requires_action'::text, 'processing'::text, 'authorized'::text, 'partially_captured'::text, 'captured'::text, 'failed'::text, 'canceled'::text, 'expired'::text]))),
    CONSTRAINT payment_logs_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT payment_logs_meaning_check CHECK ((meaning >= 0)),
    CONSTRAINT payment_logs_offset_check CHECK (("offset" >= 0)),
    CONSTRAINT payment_logs_outcome_check CHECK ((outcome = ANY (ARRAY['applied'::text, 'noop'::text, 'late'::text, 'conflict'::text]))),
    CONSTRAINT payment_logs_partition_check CHECK ((partition >= 0)),
    CONSTRAINT payment_logs_relay_xid_check CHECK ((relay_xid > 0)),
    CONSTRAINT payment_logs_source_check CHECK (((length(source) >= 1) AND (length(source) <= 192))),
    CONSTRAINT payment_logs_to_status_check CHECK ((to_status = ANY (ARRAY['created'::text, 'requires_action'::text, 'processing'::text, 'authorized'::text, 'partially_captured'::text, 'captured'::text, 'failed'::text, 'canceled'::text, 'expired'::text]))),
    CONSTRAINT payment_logs_topic_check CHECK ((length(topic) <= 249)),
    CONSTRAINT payment_logs_traceparent_check CHECK ((length(traceparent) = 55)),
    CONSTRAINT payment_logs_version_check CHECK ((version > 0)),
    CONSTRAINT payment_logs_version_needs_payment CHECK (((version IS NULL) OR (payment_id IS NOT NULL)))
);

COMMENT ON TABLE public.payment_logs IS 'The ledger: idempotency claim, audit row and outbox row in one. Never updated, never deleted by the application.';

COMMENT ON COLUMN public.payment_logs.version IS 'the payment''s version after this row; null where it changed nothing';

COMMENT ON COLUMN public.payment_logs.relay_xid IS 'The writing transaction''s id, but never below that of the payment''s row before: relay order is (relay_xid, id)';

COMMENT ON COLUMN public.payment_logs.traceparent IS 'W3C trace context of the event''s record; the relay hands it on to payments.changes. Not part of the hash';

COMMENT ON COLUMN public.payment_logs.meaning IS 'the version of the provider''s meaning that the facts were read by; 0 from before it was noted. Not part of the hash';

ALTER TABLE public.payment_logs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.payment_logs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.payment_refs (
    provider text NOT NULL,
    account text NOT NULL,
    kind text NOT NULL,
    ref text NOT NULL,
    payment_id uuid,
    merchant_account text NOT NULL,
    livemode boolean NOT NULL,
    CONSTRAINT payment_refs_account_check CHECK ((length(account) <= 64)),
    CONSTRAINT payment_refs_kind_check CHECK ((kind = ANY (ARRAY['id'::text, 'payment'::text, 'charge'::text, 'capture'::text, 'refund'::text, 'dispute'::text, 'session'::text, 'reference'::text]))),
    CONSTRAINT payment_refs_merchant_account_check CHECK ((length(merchant_account) <= 255)),
    CONSTRAINT payment_refs_provider_check CHECK (((length(provider) >= 1) AND (length(provider) <= 64))),
    CONSTRAINT payment_refs_ref_check CHECK (((length(ref) >= 1) AND (length(ref) <= 255)))
)
WITH (fillfactor='80');

COMMENT ON TABLE public.payment_refs IS 'Names that belong to one payment alone, and the lock that orders batches; payment_id is null until it is known. A merchant''s own reference (kind reference, no merchant_account) is the lock of its group; payment_id: its newest promise.';

CREATE TABLE public.recall_cursors (
    provider text NOT NULL,
    account text NOT NULL,
    list text NOT NULL,
    began_at timestamp with time zone NOT NULL,
    read_until timestamp with time zone NOT NULL,
    since timestamp with time zone,
    until timestamp with time zone,
    page text,
    turns bigint DEFAULT 0 NOT NULL,
    asked_at timestamp with time zone,
    last_error text,
    CONSTRAINT recall_cursors_account_check CHECK ((length(account) <= 64)),
    CONSTRAINT recall_cursors_last_error_check CHECK ((length(last_error) <= 500)),
    CONSTRAINT recall_cursors_list_check CHECK (((length(list) >= 1) AND (length(list) <= 64))),
    CONSTRAINT recall_cursors_page_check CHECK ((length(page) <= 2000)),
    CONSTRAINT recall_cursors_provider_check CHECK (((length(provider) >= 1) AND (length(provider) <= 64))),
    CONSTRAINT recall_cursors_span CHECK ((((since IS NULL) = (until IS NULL)) AND ((page IS NULL) OR (since IS NOT NULL))))
);

COMMENT ON TABLE public.recall_cursors IS 'How far each list of a provider''s API has been read for webhooks that never came.';

COMMENT ON COLUMN public.recall_cursors.read_until IS 'everything that the list showed before is spooled';

COMMENT ON COLUMN public.recall_cursors.since IS 'the span that is being read, page by page; null between two';

COMMENT ON COLUMN public.recall_cursors.page IS 'names the next page of the span';

COMMENT ON COLUMN public.recall_cursors.turns IS 'grows with each page that was written: nobody writes what another has written';

CREATE TABLE public.recall_orders (
    id bigint NOT NULL,
    provider text NOT NULL,
    account text NOT NULL,
    since timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL,
    dry_run boolean NOT NULL,
    requested_by text NOT NULL,
    because text NOT NULL,
    requested_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    asked_since timestamp with time zone,
    secret_since timestamp with time zone,
    list text,
    page text,
    turns bigint DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    pages bigint DEFAULT 0 NOT NULL,
    known bigint DEFAULT 0 NOT NULL,
    new bigint DEFAULT 0 NOT NULL,
    history bigint DEFAULT 0 NOT NULL,
    kinds jsonb DEFAULT '{}'::jsonb NOT NULL,
    first_at timestamp with time zone,
    last_at timestamp with time zone,
    error text,
    stopped_by text,
    next_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    CONSTRAINT recall_orders_account_check CHECK ((account ~ '^([a-z0-9][a-z0-9_.-]{0,63})?$'::text)),
    CONSTRAINT recall_orders_because_check CHECK ((length(because) <= 500)),
    CONSTRAINT recall_orders_check CHECK (((history >= 0) AND (history <= new))),
    CONSTRAINT recall_orders_ended CHECK (((status = ANY (ARRAY['done'::text, 'stopped'::text, 'failed'::text])) = (ended_at IS NOT NULL))),
    CONSTRAINT recall_orders_error_check CHECK (((length(error) >= 1) AND (length(error) <= 500))),
    CONSTRAINT recall_orders_failed CHECK (((status = 'failed'::text) <= (error IS NOT NULL))),
    CONSTRAINT recall_orders_failures_check CHECK ((failures >= 0)),
    CONSTRAINT recall_orders_kinds_check CHECK ((jsonb_typeof(kinds) = 'object'::text)),
    CONSTRAINT recall_orders_known_check CHECK ((known >= 0)),
    CONSTRAINT recall_orders_list_check CHECK (((length(list) >= 1) AND (length(list) <= 64))),
    CONSTRAINT recall_orders_new CHECK ((((first_at IS NULL) = (new = 0)) AND ((last_at IS NULL) = (new = 0)))),
    CONSTRAINT recall_orders_new_check CHECK ((new >= 0)),
    CONSTRAINT recall_orders_page CHECK (((page IS NULL) OR (list IS NOT NULL))),
    CONSTRAINT recall_orders_page_check CHECK ((length(page) <= 2000)),
    CONSTRAINT recall_orders_pages_check CHECK ((pages >= 0)),
    CONSTRAINT recall_orders_provider_check CHECK ((provider ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'::text)),
    CONSTRAINT recall_orders_requested_by_check CHECK (((length(requested_by) >= 1) AND (length(requested_by) <= 128))),
    CONSTRAINT recall_orders_span CHECK ((since < until)),
    CONSTRAINT recall_orders_started CHECK (((status = 'queued'::text) <= (started_at IS NULL))),
    CONSTRAINT recall_orders_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'done'::text, 'stopped'::text, 'failed'::text]))),
    CONSTRAINT recall_orders_stopped CHECK (((status = 'stopped'::text) <= (stopped_by IS NOT NULL))),
    CONSTRAINT recall_orders_stopped_by_check CHECK (((length(stopped_by) >= 1) AND (length(stopped_by) <= 128))),
    CONSTRAINT recall_orders_turns_check CHECK ((turns >= 0))
);

COMMENT ON TABLE public.recall_orders IS 'What people ask of a provider''s own lists: the console writes it, the dispatcher reads the lists page by page.';

COMMENT ON COLUMN public.recall_orders.account IS 'in lower case; empty for the provider''s own endpoint';

COMMENT ON COLUMN public.recall_orders.dry_run IS 'only counts what it would bring; nothing is spooled';

COMMENT ON COLUMN public.recall_orders.asked_since IS 'since when the lists were asked: they go no further back';

COMMENT ON COLUMN public.recall_orders.secret_since IS 'when the endpoint''s secret was first configured: what is older is history';

COMMENT ON COLUMN public.recall_orders.turns IS 'grows with each page that was counted: nobody writes what another has written';

COMMENT ON COLUMN public.recall_orders.failures IS 'answers in a row that were no page';

COMMENT ON COLUMN public.recall_orders.kinds IS 'how many events of each kind were new';

COMMENT ON COLUMN public.recall_orders.error IS 'what went wrong last; of a failed order, why it failed';

ALTER TABLE public.recall_orders ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.recall_orders_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.recalled_events (
    source text NOT NULL,
    event_id text NOT NULL,
    kind text NOT NULL,
    ref text,
    occurred_at timestamp with time zone NOT NULL,
    history boolean NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    first_at timestamp with time zone,
    webhook_at timestamp with time zone,
    lost_at timestamp with time zone,
    CONSTRAINT recalled_events_event_id_check CHECK (((length(event_id) >= 1) AND (length(event_id) <= 400))),
    CONSTRAINT recalled_events_kind_check CHECK ((length(kind) <= 255)),
    CONSTRAINT recalled_events_lost CHECK (((lost_at IS NULL) OR ((first_at IS NOT NULL) AND (NOT history)))),
    CONSTRAINT recalled_events_ref_check CHECK (((length(ref) >= 1) AND (length(ref) <= 255))),
    CONSTRAINT recalled_events_source_check CHECK (((length(source) >= 1) AND (length(source) <= 192)))
);

COMMENT ON TABLE public.recalled_events IS 'What recall saw that was not known: when recall saw it, and when a webhook of it came. Nothing before the secret was
    configured (history) counts as lost.';

COMMENT ON COLUMN public.recalled_events.ref IS 'of a list of objects the object''s id, else null';

CREATE TABLE public.redrives (
    id bigint NOT NULL,
    requested_by text NOT NULL,
    filter jsonb NOT NULL,
    target_topic text,
    rate_per_second double precision NOT NULL,
    messages_max bigint,
    policy text NOT NULL,
    failure_ratio_max double precision NOT NULL,
    failures_min bigint NOT NULL,
    forced boolean NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    matched bigint NOT NULL,
    selected bigint NOT NULL,
    published bigint DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    published_before bigint DEFAULT 0 NOT NULL,
    failed_before bigint DEFAULT 0 NOT NULL,
    stop_requested_by text,
    stop_reason text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT redrives_check CHECK (((selected > 0) AND (selected <= matched))),
    CONSTRAINT redrives_check1 CHECK (((published_before >= 0) AND (published_before <= published))),
    CONSTRAINT redrives_check2 CHECK (((failed_before >= 0) AND (failed_before <= failed))),
    CONSTRAINT redrives_done_is_whole CHECK (((status <> 'done'::text) OR ((published + skipped) = selected))),
    CONSTRAINT redrives_ended CHECK (((status = ANY (ARRAY['done'::text, 'stopped'::text, 'failed'::text])) = (ended_at IS NOT NULL))),
    CONSTRAINT redrives_failed_check CHECK ((failed >= 0)),
    CONSTRAINT redrives_failure_ratio_max_check CHECK (((failure_ratio_max > (0)::double precision) AND (failure_ratio_max <= (1)::double precision))),
    CONSTRAINT redrives_failures_min_check CHECK ((failures_min > 0)),
    CONSTRAINT redrives_filter_check CHECK ((jsonb_typeof(filter) = 'object'::text)),
    CONSTRAINT redrives_matched_check CHECK ((matched >= 0)),
    CONSTRAINT redrives_messages_max_check CHECK ((messages_max > 0)),
    CONSTRAINT redrives_policy_check CHECK ((policy = ANY (ARRAY['stop_on_failures'::text, 'keep_going'::text]))),
    CONSTRAINT redrives_published_check CHECK ((published >= 0)),
    CONSTRAINT redrives_rate_per_second_check CHECK ((rate_per_second > (0)::double precision)),
    CONSTRAINT redrives_requested_by_check CHECK (((length(requested_by) >= 1) AND (length(requested_by) <= 128))),
    CONSTRAINT redrives_skipped_check CHECK ((skipped >= 0)),
    CONSTRAINT redrives_started CHECK (((started_at IS NOT NULL) OR ((published + skipped) = 0))),
    CONSTRAINT redrives_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'done'::text, 'stopped'::text, 'failed'::text]))),
    CONSTRAINT redrives_stop_reason_check CHECK ((length(stop_reason) <= 500)),
    CONSTRAINT redrives_stop_requested_by_check CHECK (((length(stop_requested_by) >= 1) AND (length(stop_requested_by) <= 128))),
    CONSTRAINT redrives_target_topic_check CHECK (((length(target_topic) >= 1) AND (length(target_topic) <= 249))),
    CONSTRAINT redrives_within_selection CHECK (((published + skipped) <= selected))
);

COMMENT ON TABLE public.redrives IS 'Orders to publish dead letters once more: people write them, the relay carries them out.';

COMMENT ON COLUMN public.redrives.matched IS 'open letters that fitted the filter when it was ordered; selected of them are to go';

COMMENT ON COLUMN public.redrives.failed IS 'letters that came back as new ones although the dry run said they would not; as of the relay''s last look';

COMMENT ON COLUMN public.redrives.published_before IS 'published and failed when it was last resumed: what is forgiven does not stop it again';

ALTER TABLE public.redrives ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.redrives_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.reference_payments (
    provider text NOT NULL,
    account text NOT NULL,
    livemode boolean NOT NULL,
    kind text NOT NULL,
    ref text NOT NULL,
    payment_id uuid NOT NULL,
    promise integer,
    groups boolean DEFAULT false NOT NULL,
    xid bigint DEFAULT ((pg_current_xact_id())::text)::bigint,
    CONSTRAINT reference_payments_account_check CHECK ((length(account) <= 64)),
    CONSTRAINT reference_payments_group_is_promised CHECK (((NOT groups) OR (promise IS NOT NULL))),
    CONSTRAINT reference_payments_kind_check CHECK ((kind = ANY (ARRAY['reference'::text, 'shared'::text]))),
    CONSTRAINT reference_payments_promise_check CHECK ((promise > 0)),
    CONSTRAINT reference_payments_promise_is_a_reference CHECK (((promise IS NULL) OR (kind = 'reference'::text))),
    CONSTRAINT reference_payments_provider_check CHECK (((length(provider) >= 1) AND (length(provider) <= 64))),
    CONSTRAINT reference_payments_ref_check CHECK (((length(ref) >= 1) AND (length(ref) <= 255)))
);

COMMENT ON TABLE public.reference_payments IS 'Which payments stand under a merchant''s own reference, or under a provider''s id that many payments share. Joins nothing.';

COMMENT ON COLUMN public.reference_payments.promise IS 'of an intent that claimed the reference: the how many-th promise it is. Null of all others';

COMMENT ON COLUMN public.reference_payments.groups IS 'the promise adopts attempts: its intent named no payment of the provider';

COMMENT ON COLUMN public.reference_payments.xid IS 'the transaction that wrote the row, by which others tell what came since their snapshot';

CREATE TABLE public.refetches (
    id bigint NOT NULL,
    provider text NOT NULL,
    account text NOT NULL,
    ref text NOT NULL,
    reason text NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    last_error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    known boolean DEFAULT true NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    about text,
    query_id text,
    query_at timestamp with time zone,
    CONSTRAINT refetches_about_check CHECK (((length(about) >= 1) AND (length(about) <= 255))),
    CONSTRAINT refetches_account_check CHECK ((length(account) <= 64)),
    CONSTRAINT refetches_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT refetches_last_error_check CHECK ((length(last_error) <= 500)),
    CONSTRAINT refetches_priority_check CHECK ((priority >= 0)),
    CONSTRAINT refetches_provider_check CHECK (((length(provider) >= 1) AND (length(provider) <= 64))),
    CONSTRAINT refetches_query_id_check CHECK (((length(query_id) >= 1) AND (length(query_id) <= 255))),
    CONSTRAINT refetches_reason_check CHECK ((reason = ANY (ARRAY['hint'::text, 'contradiction'::text, 'stale'::text]))),
    CONSTRAINT refetches_ref_check CHECK (((length(ref) >= 1) AND (length(ref) <= 255))),
    CONSTRAINT refetches_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'done'::text, 'failed'::text])))
);

COMMENT ON TABLE public.refetches IS 'Payments whose provider must be asked again: unsigned hints, contradictions, and what was not heard of for long.';

COMMENT ON COLUMN public.refetches.known IS 'whether a payment or an intent had this id when it was asked about; anybody can make up the ids that none has';

COMMENT ON COLUMN public.refetches.priority IS 'smaller goes first: 0 contradictions, 1 hints of what is known, 5 what was not heard of for long, 9 the unknown';

COMMENT ON COLUMN public.refetches.about IS 'what the id belongs to, as an unsigned webhook says: the push of a receipt, the receipt that a reversal takes back';

COMMENT ON COLUMN public.refetches.query_id IS 'the provider''s id of our query whose answer comes by a webhook';

COMMENT ON COLUMN public.refetches.query_at IS 'updated_at when the query left: whoever asks again since then changes it';

ALTER TABLE public.refetches ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.refetches_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE VIEW public.refunds AS
 SELECT p.id AS payment_id,
    substr(f.key, 8) AS refund_id,
    (f.value ->> 0) AS state,
    ((f.value ->> 1))::bigint AS amount
   FROM (public.payments p
     CROSS JOIN LATERAL jsonb_each(p.facts) f(key, value))
  WHERE ((p.merged_into IS NULL) AND (f.key ~~ 'refund:%'::text));

COMMENT ON VIEW public.refunds IS 'The refunds of every payment that are known by id.';

CREATE TABLE public.relay_cursors (
    name text NOT NULL,
    relay_xid bigint DEFAULT 0 NOT NULL,
    id bigint DEFAULT 0 NOT NULL,
    system_identifier bigint,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    epoch bigint,
    CONSTRAINT relay_cursors_epoch_check CHECK ((epoch > 0)),
    CONSTRAINT relay_cursors_name_check CHECK ((name = ANY (ARRAY['changes'::text, 'dead_letters'::text, 'state'::text, 'commands'::text])))
);

COMMENT ON TABLE public.relay_cursors IS 'How far the relay has published: everything up to (relay_xid, id).';

COMMENT ON COLUMN public.relay_cursors.system_identifier IS 'the database cluster whose transaction ids these are; in another one (a restored dump) they mean nothing';

COMMENT ON COLUMN public.relay_cursors.epoch IS 'of state: the epoch that the topic was filled under; in another one it is filled anew';

CREATE TABLE public.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT schema_migrations_checksum_check CHECK ((length(checksum) = 64)),
    CONSTRAINT schema_migrations_version_check CHECK ((version > 0))
);

CREATE TABLE public.sms_transactions (
    id bigint NOT NULL,
    payment_id uuid NOT NULL,
    to_number text NOT NULL,
    template text NOT NULL,
    status text NOT NULL,
    provider_sid text,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    child text DEFAULT ''::text NOT NULL,
    amount bigint,
    CONSTRAINT sms_transactions_amount_check CHECK ((amount >= 0)),
    CONSTRAINT sms_transactions_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT sms_transactions_child_check CHECK ((length(child) <= 400)),
    CONSTRAINT sms_transactions_provider_sid_check CHECK (((length(provider_sid) >= 1) AND (length(provider_sid) <= 64))),
    CONSTRAINT sms_transactions_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'sending'::text, 'sent'::text, 'delivered'::text, 'undelivered'::text, 'failed'::text]))),
    CONSTRAINT sms_transactions_template_check CHECK (((length(template) >= 1) AND (length(template) <= 64))),
    CONSTRAINT sms_transactions_to_number_check CHECK ((to_number ~ '^\+[1-9][0-9]{6,14}$'::text))
);

COMMENT ON TABLE public.sms_transactions IS 'Messages to customers: each template once a payment, of refunds once a refund.';

COMMENT ON COLUMN public.sms_transactions.child IS 'the refund that the message is of: its id, or how much was given back with it; empty of other messages';

COMMENT ON COLUMN public.sms_transactions.amount IS 'what the message says in minor units, where that is not a figure of the payment';

ALTER TABLE public.sms_transactions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.sms_transactions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.spool (
    id bigint NOT NULL,
    topic text NOT NULL,
    key bytea,
    value bytea NOT NULL,
    header_names bytea[] NOT NULL,
    header_values bytea[] NOT NULL,
    relay_xid bigint DEFAULT ((pg_current_xact_id())::text)::bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT spool_headers_pair CHECK ((cardinality(header_names) = cardinality(header_values))),
    CONSTRAINT spool_topic_check CHECK ((length(topic) <= 249)),
    CONSTRAINT spool_value_check CHECK ((length(value) <= 2097152))
);

COMMENT ON TABLE public.spool IS 'Accepted records on their way to Kafka: webhooks while Kafka is away, intents always.';

ALTER TABLE public.spool ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.spool_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.topic_prefix (
    only_one boolean DEFAULT true NOT NULL,
    prefix text NOT NULL,
    noted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT topic_prefix_only_one_check CHECK (only_one),
    CONSTRAINT topic_prefix_prefix_check CHECK (((length(prefix) >= 1) AND (length(prefix) <= 249)))
);

COMMENT ON TABLE public.topic_prefix IS 'The prefix of the topics that this database belongs to: one row, or none before the first start.';

CREATE TABLE public.wake_marks (
    id bigint NOT NULL,
    provider text NOT NULL,
    account text NOT NULL,
    merchant_account text NOT NULL,
    livemode boolean NOT NULL,
    kind text NOT NULL,
    ref text NOT NULL,
    after_id bigint DEFAULT 0 NOT NULL,
    marked_at timestamp with time zone DEFAULT now() NOT NULL,
    after_letter_id bigint DEFAULT 0 NOT NULL
);

COMMENT ON TABLE public.wake_marks IS 'Names that were bound while parked events waited on them, until those are woken.';

COMMENT ON COLUMN public.wake_marks.after_id IS 'parked events up to this id have been woken';

COMMENT ON COLUMN public.wake_marks.after_letter_id IS 'dead letters of orphans up to this id have been tried';

ALTER TABLE public.wake_marks ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.wake_marks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY public.anchor_without_payment
    ADD CONSTRAINT anchor_without_payment_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.body_claims
    ADD CONSTRAINT body_claims_pkey PRIMARY KEY (source, digest);

ALTER TABLE ONLY public.commands
    ADD CONSTRAINT commands_payment_id_command_id_key UNIQUE (payment_id, command_id);

ALTER TABLE ONLY public.commands
    ADD CONSTRAINT commands_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.console_keys
    ADD CONSTRAINT console_keys_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY public.console_sessions
    ADD CONSTRAINT console_sessions_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY public.consumer_ends
    ADD CONSTRAINT consumer_ends_pkey PRIMARY KEY (topic, partition, "offset", owner);

ALTER TABLE ONLY public.consumer_marks
    ADD CONSTRAINT consumer_marks_pkey PRIMARY KEY (topic, partition);

ALTER TABLE ONLY public.consumer_offsets
    ADD CONSTRAINT consumer_offsets_pkey PRIMARY KEY (topic, partition);

ALTER TABLE ONLY public.dead_letter_notes
    ADD CONSTRAINT dead_letter_notes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_place UNIQUE (topic, partition, "offset", digest);

ALTER TABLE ONLY public.debits
    ADD CONSTRAINT debits_pkey PRIMARY KEY (ref, provider, account);

ALTER TABLE ONLY public.discards
    ADD CONSTRAINT discards_pkey PRIMARY KEY (dead_letter_id);

ALTER TABLE ONLY public.dlq_positions
    ADD CONSTRAINT dlq_positions_pkey PRIMARY KEY (partition);

ALTER TABLE ONLY public.epochs
    ADD CONSTRAINT epochs_pkey PRIMARY KEY (epoch);

ALTER TABLE ONLY public.erased_letters
    ADD CONSTRAINT erased_letters_pkey PRIMARY KEY (topic, partition, "offset", digest);

ALTER TABLE ONLY public.intent_claims
    ADD CONSTRAINT intent_claims_pkey PRIMARY KEY (client, idempotency_key);

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.ledger_anchors
    ADD CONSTRAINT ledger_anchors_pkey PRIMARY KEY (payment_id);

ALTER TABLE ONLY public.operator_action_heads
    ADD CONSTRAINT operator_action_heads_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY public.operator_actions
    ADD CONSTRAINT operator_actions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.operator_tokens
    ADD CONSTRAINT operator_tokens_digest_key UNIQUE (digest);

ALTER TABLE ONLY public.operator_tokens
    ADD CONSTRAINT operator_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.operators
    ADD CONSTRAINT operators_name_key UNIQUE (name);

ALTER TABLE ONLY public.operators
    ADD CONSTRAINT operators_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.orphan_refs
    ADD CONSTRAINT orphan_refs_pkey PRIMARY KEY (ref, kind, provider, account, merchant_account, livemode, letter_id);

ALTER TABLE ONLY public.outcome_counts
    ADD CONSTRAINT outcome_counts_pkey PRIMARY KEY (seconds, began_at, provider, outcome, detail);

ALTER TABLE ONLY public.outcome_cursors
    ADD CONSTRAINT outcome_cursors_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY public.parked_events
    ADD CONSTRAINT parked_events_claim UNIQUE (event_id, source);

ALTER TABLE ONLY public.parked_events
    ADD CONSTRAINT parked_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.parked_refs
    ADD CONSTRAINT parked_refs_pkey PRIMARY KEY (ref, kind, provider, account, merchant_account, livemode, parked_id);

ALTER TABLE ONLY public.parking_clock
    ADD CONSTRAINT parking_clock_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.payment_logs
    ADD CONSTRAINT payment_logs_claim UNIQUE (event_id, source);

ALTER TABLE ONLY public.payment_logs
    ADD CONSTRAINT payment_logs_pkey PRIMARY KEY (relay_xid, id);

ALTER TABLE ONLY public.payment_refs
    ADD CONSTRAINT payment_refs_pkey PRIMARY KEY (ref, kind, provider, account, merchant_account, livemode);

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.recall_cursors
    ADD CONSTRAINT recall_cursors_pkey PRIMARY KEY (provider, account, list);

ALTER TABLE ONLY public.recall_orders
    ADD CONSTRAINT recall_orders_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.recalled_events
    ADD CONSTRAINT recalled_events_pkey PRIMARY KEY (source, event_id);

ALTER TABLE ONLY public.redrive_messages
    ADD CONSTRAINT redrive_messages_pkey PRIMARY KEY (redrive_id, dead_letter_id);

ALTER TABLE ONLY public.redrives
    ADD CONSTRAINT redrives_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.reference_payments
    ADD CONSTRAINT reference_payments_pkey PRIMARY KEY (ref, kind, provider, account, livemode, payment_id);

ALTER TABLE ONLY public.refetches
    ADD CONSTRAINT refetches_payment UNIQUE (ref, provider, account);

ALTER TABLE ONLY public.refetches
    ADD CONSTRAINT refetches_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.relay_cursors
    ADD CONSTRAINT relay_cursors_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.sms_transactions
    ADD CONSTRAINT sms_transactions_once UNIQUE (payment_id, template, child);

ALTER TABLE ONLY public.sms_transactions
    ADD CONSTRAINT sms_transactions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.spool
    ADD CONSTRAINT spool_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.topic_prefix
    ADD CONSTRAINT topic_prefix_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY public.wake_marks
    ADD CONSTRAINT wake_marks_id_key UNIQUE (id);

ALTER TABLE ONLY public.wake_marks
    ADD CONSTRAINT wake_marks_pkey PRIMARY KEY (ref, kind, provider, account, merchant_account, livemode);

CREATE INDEX commands_relay ON public.commands USING btree (relay_xid, id);

CREATE INDEX commands_unanswered ON public.commands USING btree (expires_at) WHERE ((state IS NULL) OR (state = 'accepted'::text));

CREATE INDEX console_sessions_of ON public.console_sessions USING btree (operator_id);

CREATE INDEX consumer_ends_owner ON public.consumer_ends USING btree (owner);

CREATE INDEX dead_letter_notes_of_redrive ON public.dead_letter_notes USING btree (redrive_id) WHERE (redrive_id IS NOT NULL);

CREATE INDEX dead_letter_notes_standing ON public.dead_letter_notes USING btree (silent_until) WHERE (ended_at IS NULL);

CREATE INDEX dead_letters_event ON public.dead_letters USING btree (source, event_id);

CREATE INDEX dead_letters_open ON public.dead_letters USING btree (reason, id) WHERE (status = 'open'::text);

CREATE INDEX dead_letters_payment ON public.dead_letters USING btree (payment_ref);

CREATE INDEX dead_letters_relay ON public.dead_letters USING btree (relay_xid, id);

CREATE INDEX dead_letters_returned ON public.dead_letters USING btree (digest) WHERE (redrive_count > 0);

CREATE INDEX debits_due ON public.debits USING btree (provider, COALESCE(asked_at, noted_at));

CREATE INDEX erased_letters_age ON public.erased_letters USING btree (erased_at);

CREATE INDEX intent_claims_asked ON public.intent_claims USING btree (payment_id, created_at) WHERE (command <> 'create'::text);

CREATE INDEX intent_claims_expiry ON public.intent_claims USING btree (expires_at);

CREATE INDEX intent_claims_named ON public.intent_claims USING btree (provider_ref, provider, account) WHERE ((command = 'create'::text) AND (provider_ref IS NOT NULL));

CREATE UNIQUE INDEX intent_claims_payment ON public.intent_claims USING btree (payment_id) WHERE (command = 'create'::text);

CREATE UNIQUE INDEX intent_claims_provider_ref ON public.intent_claims USING btree (client, provider, account, provider_ref) WHERE ((command = 'create'::text) AND (provider_ref IS NOT NULL));

CREATE INDEX intent_claims_reference ON public.intent_claims USING btree (reference, provider, account) WHERE ((command = 'create'::text) AND (reference IS NOT NULL));

CREATE INDEX operator_actions_recent ON public.operator_actions USING btree (acted_at);

CREATE INDEX operator_tokens_operator ON public.operator_tokens USING btree (operator_id);

CREATE INDEX orphan_refs_letter ON public.orphan_refs USING btree (letter_id);

CREATE INDEX parked_events_deadline ON public.parked_events USING btree (deadline);

CREATE INDEX parked_refs_parked ON public.parked_refs USING btree (parked_id);

CREATE INDEX payment_logs_timeline ON public.payment_logs USING btree (payment_id, id) WHERE (payment_id IS NOT NULL);

CREATE INDEX payment_logs_without_payment ON public.payment_logs USING btree (relay_xid, id) WHERE (payment_id IS NULL);

CREATE INDEX payment_refs_payment ON public.payment_refs USING btree (payment_id) WHERE (payment_id IS NOT NULL);

CREATE INDEX payments_flagged_at ON public.payments USING btree (flagged_at) WHERE (flagged_at IS NOT NULL);

CREATE INDEX payments_found ON public.payments USING btree (created_at, id, provider, status, dispute_status, livemode, account, client, currency, amount) WHERE (merged_into IS NULL);

CREATE INDEX payments_intent ON public.payments USING btree (intent_id) WHERE (intent_id IS NOT NULL);

CREATE INDEX payments_merged_into ON public.payments USING btree (merged_into) WHERE (merged_into IS NOT NULL);

CREATE INDEX payments_open ON public.payments USING btree (provider, account, updated_at) WHERE ((merged_into IS NULL) AND (provider_ref IS NOT NULL) AND ((status = ANY (ARRAY['created'::text, 'requires_action'::text, 'processing'::text, 'authorized'::text])) OR (refund_status = 'pending'::text) OR (dispute_status = ANY (ARRAY['inquiry'::text, 'open'::text, 'under_review'::text]))));

CREATE INDEX payments_open_refunds ON public.payments USING btree (provider, account, updated_at) WHERE ((merged_into IS NULL) AND (provider_ref IS NOT NULL) AND (refund_status = 'partial'::text) AND jsonb_path_exists(facts, '$.keyvalue()?(@."key" starts with "refund:" && @."value"[0] == "pending")'::jsonpath));

CREATE INDEX payments_reference ON public.payments USING btree (reference) WHERE (reference IS NOT NULL);

CREATE UNIQUE INDEX recall_orders_open ON public.recall_orders USING btree (provider) WHERE (status = ANY (ARRAY['queued'::text, 'running'::text]));

CREATE INDEX recalled_events_first ON public.recalled_events USING btree (source, occurred_at) WHERE ((first_at IS NOT NULL) AND (NOT history));

CREATE INDEX recalled_events_ref ON public.recalled_events USING btree (ref, source) WHERE ((ref IS NOT NULL) AND (webhook_at IS NULL));

CREATE UNIQUE INDEX redrive_messages_once ON public.redrive_messages USING btree (dead_letter_id) WHERE (status = ANY (ARRAY['publishing'::text, 'published'::text]));

CREATE INDEX redrive_messages_to_do ON public.redrive_messages USING btree (redrive_id, status, dead_letter_id) WHERE (status = ANY (ARRAY['queued'::text, 'publishing'::text]));

CREATE INDEX redrives_open ON public.redrives USING btree (id) WHERE (status = ANY (ARRAY['queued'::text, 'running'::text]));

CREATE INDEX reference_payments_payment ON public.reference_payments USING btree (payment_id);

CREATE INDEX reference_payments_promise ON public.reference_payments USING btree (promise) WHERE (promise IS NOT NULL);

CREATE INDEX reference_payments_xid ON public.reference_payments USING btree (xid) WHERE (xid IS NOT NULL);

CREATE INDEX refetches_due ON public.refetches USING btree (priority, next_attempt_at) WHERE (status = 'queued'::text);

CREATE INDEX refetches_query ON public.refetches USING btree (query_id) WHERE (query_id IS NOT NULL);

CREATE INDEX refetches_unknown_failed ON public.refetches USING btree (updated_at) WHERE ((status = 'failed'::text) AND (NOT known));

CREATE INDEX refetches_waiting ON public.refetches USING btree (provider, account, known) WHERE (status = 'queued'::text);

CREATE INDEX sms_transactions_due ON public.sms_transactions USING btree (next_attempt_at) WHERE (status = ANY (ARRAY['queued'::text, 'sending'::text]));

CREATE INDEX sms_transactions_sid ON public.sms_transactions USING btree (provider_sid);

CREATE TRIGGER chain_operator_action BEFORE INSERT ON public.operator_actions FOR EACH ROW EXECUTE FUNCTION public.chain_operator_action();

ALTER TABLE ONLY public.console_sessions
    ADD CONSTRAINT console_sessions_operator_id_fkey FOREIGN KEY (operator_id) REFERENCES public.operators(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.dead_letter_notes
    ADD CONSTRAINT dead_letter_notes_redrive_id_fkey FOREIGN KEY (redrive_id) REFERENCES public.redrives(id);

ALTER TABLE ONLY public.discards
    ADD CONSTRAINT discards_dead_letter_id_fkey FOREIGN KEY (dead_letter_id) REFERENCES public.dead_letters(id);

ALTER TABLE ONLY public.ledger_anchors
    ADD CONSTRAINT ledger_anchors_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES public.payments(id);

ALTER TABLE ONLY public.operator_tokens
    ADD CONSTRAINT operator_tokens_operator_id_fkey FOREIGN KEY (operator_id) REFERENCES public.operators(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.orphan_refs
    ADD CONSTRAINT orphan_refs_letter_id_fkey FOREIGN KEY (letter_id) REFERENCES public.dead_letters(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.parked_refs
    ADD CONSTRAINT parked_refs_name_fkey FOREIGN KEY (ref, kind, provider, account, merchant_account, livemode) REFERENCES public.payment_refs(ref, kind, provider, account, merchant_account, livemode);

ALTER TABLE ONLY public.parked_refs
    ADD CONSTRAINT parked_refs_parked_id_fkey FOREIGN KEY (parked_id) REFERENCES public.parked_events(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.payment_refs
    ADD CONSTRAINT payment_refs_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES public.payments(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_intent_id_fkey FOREIGN KEY (intent_id) REFERENCES public.payments(id);

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_merged_into_fkey FOREIGN KEY (merged_into) REFERENCES public.payments(id);

ALTER TABLE ONLY public.redrive_messages
    ADD CONSTRAINT redrive_messages_dead_letter_id_fkey FOREIGN KEY (dead_letter_id) REFERENCES public.dead_letters(id);

ALTER TABLE ONLY public.redrive_messages
    ADD CONSTRAINT redrive_messages_redrive_id_fkey FOREIGN KEY (redrive_id) REFERENCES public.redrives(id);

ALTER TABLE ONLY public.reference_payments
    ADD CONSTRAINT reference_payments_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES public.payments(id);

ALTER TABLE ONLY public.sms_transactions
    ADD CONSTRAINT sms_transactions_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES public.payments(id);

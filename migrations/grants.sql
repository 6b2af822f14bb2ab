-- What the application's own role may do, and what the role of each process may do where there is one: of an application
-- role `ratchet` or `ratchet_app` these are `ratchet_ingress`, `ratchet_consumer`, `ratchet_relay`, `ratchet_dispatcher`,
-- `ratchet_console` and `ratchet_ops` (the command line). Nobody can alter the ledger or what people did.
-- A table, column or function that an older schema does not have yet (after `migrate down`) is left out. A column list follows
-- the rights that it bounds. What others own in the schema, such as an extension's views, is left alone.
do $$
declare
    app text := current_setting('ratchet.app_role');
    process text;
    grantee text;
    granted record;
    columns text;
    ours text;
begin
    foreach process in array '{app,ingress,consumer,relay,dispatcher,console,ops}'::text[] loop
        grantee := case when process = 'app' then app else regexp_replace(app, '_app$', '') || '_' || process end;
        continue when to_regrole(quote_ident(grantee)) is null or grantee = current_user;
        execute format('grant connect on database %I to %I', current_database(), grantee);
        execute format('grant usage on schema public to %I', grantee);
        select string_agg(format('%s', oid::regclass), ', ') into ours from pg_class
            where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f') and pg_has_role(relowner, 'usage');
        if ours is not null then
            execute format('revoke all on table %s from %I', ours, grantee);
        end if;
        select string_agg(format('%s', oid::regprocedure), ', ') into ours from pg_proc
            where pronamespace = 'public'::regnamespace and prokind = 'f' and pg_has_role(proowner, 'usage');
        if ours is not null then
            execute format('revoke all on function %s from %I', ours, grantee);
        end if;
        for granted in
            select rights, name, bounded
            from (values
                ('app', 'select, insert, update, delete', '', '{payments, payment_refs, reference_payments, parked_events,
                    parked_refs, orphan_refs, wake_marks, spool, leases, consumer_marks, consumer_ends, consumer_offsets, sms_transactions, refetches, body_claims, intent_claims, dlq_positions,
                    console_sessions, debits, operators, operator_tokens, outcome_counts, recall_cursors, recalled_events, commands}'::text[]),
                ('app', 'select, update', '', '{parking_clock, outcome_cursors}'),
                ('app', 'select, insert, update', '', '{recall_orders}'),
                ('app', 'select, insert', '', '{payment_logs, discards, epochs, topic_prefix}'),
                ('app', 'select, insert, update', '', '{dead_letters, relay_cursors, redrives, redrive_messages,
                    console_keys}'),
                ('app', 'insert', 'who, origin, action, target, because', '{operator_actions}'),
                ('app', 'select', '', '{schema_migrations, ledger_anchors, anchor_without_payment, captures, refunds, disputes, redrive_returns,
                    operator_actions, operator_action_heads, erased_letters, noted_dead_letters}'),
                ('app', 'select, insert', '', '{dead_letter_notes}'),
                ('app', 'update', 'ended_by, ended_at', '{dead_letter_notes}'),

                ('ingress', 'select, insert', '', '{spool, topic_prefix}'),
                ('ingress', 'select, insert, update', '', '{refetches}'),
                ('ingress', 'select, insert', '', '{intent_claims}'),
                ('ingress', 'select', 'source, ref, webhook_at', '{recalled_events}'),
                ('ingress', 'update', 'webhook_at', '{recalled_events}'),
                ('ingress', 'select', '', '{payments, payment_refs, payment_logs, captures, refunds, schema_migrations, commands}'),

                ('consumer', 'select, insert, update', '', '{payments, payment_refs, reference_payments, sms_transactions, refetches}'),
                ('consumer', 'select, insert, update, delete', '', '{parked_events, wake_marks, consumer_marks}'),
                ('consumer', 'select, insert, delete', '', '{orphan_refs, consumer_ends}'),
                ('consumer', 'select, insert, update', '', '{leases, body_claims}'),
                ('consumer', 'select, insert', '', '{parked_refs}'),
                ('consumer', 'select, update', '', '{parking_clock}'),
                ('consumer', 'select', 'id, created_at', '{spool}'),
                ('consumer', 'select, insert', '', '{payment_logs, dead_letters, epochs, topic_prefix}'),
                ('consumer', 'insert', '', '{debits}'),
                ('consumer', 'select, insert, update', '', '{consumer_offsets}'),
                ('consumer', 'select', '', '{recalled_events, recall_cursors}'),
                ('consumer', 'update', 'first_at, webhook_at', '{recalled_events}'),
                ('consumer', 'update', 'status', '{dead_letters}'),
                ('consumer', 'update', 'state, refusal', '{intent_claims, commands}'),
                ('consumer', 'select, insert', '', '{commands}'),
                ('consumer', 'select', '', '{schema_migrations, intent_claims}'),

                ('relay', 'select, delete', '', '{spool}'),
                ('relay', 'select', '', '{payments, payment_logs, dead_letters, noted_dead_letters, redrive_returns, schema_migrations,
                    parked_events, intent_claims}'),
                ('relay', 'insert', '', '{dead_letters}'),
                ('relay', 'select, insert', '', '{epochs, topic_prefix}'),
                ('relay', 'update', 'status', '{dead_letters}'),
                ('relay', 'select, update', '', '{relay_cursors, redrives, redrive_messages}'),
                ('relay', 'update, delete', '', '{intent_claims}'),
                ('relay', 'select, delete', '', '{commands}'),
                ('relay', 'select, insert, update', '', '{leases}'),

                ('dispatcher', 'select, insert, update, delete', '', '{refetches}'),
                ('dispatcher', 'select, insert, update', '', '{leases, recall_cursors}'),
                ('dispatcher', 'select, update', '', '{sms_transactions}'),
                ('dispatcher', 'select, insert', '', '{spool, topic_prefix}'),
                ('dispatcher', 'select, insert, update, delete', '', '{recalled_events}'),
                ('dispatcher', 'select', 'source, event_id', '{parked_events, dead_letters}'),
                ('dispatcher', 'select', '', '{recall_orders}'),
                ('dispatcher', 'update', 'status, asked_since, secret_since, list, page, turns, failures, pages, known, new,
                    history, kinds, first_at, last_at, error, next_at, started_at, ended_at', '{recall_orders}'),
                ('dispatcher', 'select, update, delete', '', '{debits}'),
                ('dispatcher', 'select', '', '{payments, payment_refs, payment_logs, schema_migrations}'),

                ('console', 'select', '', '{payments, payment_refs, reference_payments, payment_logs, parked_events, parked_refs, orphan_refs, body_claims, spool,
                    sms_transactions, relay_cursors, schema_migrations, ledger_anchors, anchor_without_payment, redrive_returns, operator_actions,
                    operator_action_heads, recall_cursors, recalled_events, topic_prefix, parking_clock}'),
                ('console', 'select, insert', '', '{discards, redrives, redrive_messages}'),
                ('console', 'update', '', '{redrives}'),
                ('console', 'select', '', '{dead_letters, commands}'),
                ('console', 'update', 'status', '{dead_letters}'),
                ('console', 'select, insert, update', '', '{console_keys}'),
                ('console', 'select, insert, update, delete', '', '{console_sessions}'),
                ('console', 'select, insert, update, delete', '', '{outcome_counts}'),
                ('console', 'select, update', '', '{outcome_cursors}'),
                ('console', 'select, delete', '', '{operator_tokens}'),
                ('console', 'select, delete', '', '{operators}'),
                ('console', 'update', 'password_hash, one_time_until, signed_in_at', '{operators}'),
                ('console', 'select', '', '{noted_dead_letters, recall_orders}'),
                ('console', 'insert', 'provider, account, since, until, dry_run, requested_by, because', '{recall_orders}'),
                ('console', 'update', 'status, stopped_by, next_at, ended_at', '{recall_orders}'),
                ('console', 'select, insert', '', '{dead_letter_notes}'),
                ('console', 'update', 'ended_by, ended_at', '{dead_letter_notes}'),
                ('console', 'insert', 'who, origin, action, target, because', '{operator_actions}'),

                ('ops', 'select', '', '{payments, payment_refs, reference_payments, payment_logs, parked_events, parked_refs, orphan_refs, body_claims, spool, epochs,
                    relay_cursors, schema_migrations, ledger_anchors, anchor_without_payment, redrive_returns, operator_actions, operator_action_heads,
                    erased_letters}'),
                ('ops', 'select', '', '{parking_clock, topic_prefix, commands}'),
                ('ops', 'select, insert', '', '{spool, recall_cursors, recalled_events}'),
                ('ops', 'select, insert, update', '', '{redrives, dlq_positions}'),
                ('ops', 'select, insert', '', '{redrive_messages, discards, dead_letters}'),
                ('ops', 'update', 'status', '{dead_letters}'),
                ('ops', 'select', 'id, name, role, one_time_until, added_by, added_at, signed_in_at', '{operators}'),
                ('ops', 'insert', 'name, role, password_hash, one_time_until, added_by', '{operators}'),
                ('ops', 'delete', '', '{operators}'),
                ('ops', 'select', 'id, operator_id, role, ends_at, made_by, made_at', '{operator_tokens}'),
                ('ops', 'insert', 'operator_id, role, digest, ends_at, made_by', '{operator_tokens}'),
                ('ops', 'delete', '', '{operator_tokens}'),
                ('ops', 'select', '', '{noted_dead_letters}'),
                ('ops', 'select, insert', '', '{dead_letter_notes}'),
                ('ops', 'update', 'ended_by, ended_at', '{dead_letter_notes}'),
                ('ops', 'insert', 'who, origin, action, target, because', '{operator_actions}')
            ) as known (grantee_process, rights, bounded, names) cross join unnest(names) as name
            where grantee_process = process and to_regclass(name) is not null
        loop
            select format('(%s)', string_agg(quote_ident(attname), ', ')) into columns from pg_attribute
                where attrelid = to_regclass(granted.name) and attnum > 0 and not attisdropped
                    and attname = any(regexp_split_to_array(granted.bounded, '\s*,\s*'));
            continue when granted.bounded <> '' and columns = '()';
            columns := case granted.bounded when '' then '' else columns end;
            execute format('grant %s %s on %I to %I', granted.rights, columns, granted.name, grantee);
        end loop;
        if process in ('app', 'console', 'ops')
            and to_regprocedure('redact_dead_letter(bigint, text, text, text)') is not null then
            execute format('grant execute on function redact_dead_letter(bigint, text, text, text) to %I', grantee);
        end if;
        if process in ('app', 'ingress', 'consumer', 'dispatcher', 'ops')
            and to_regprocedure('surviving_payment(uuid)') is not null then
            execute format('grant execute on function surviving_payment(uuid) to %I', grantee);
        end if;
    end loop;
end
$$;

-- What the application's own role may do; the ledger can be read and appended to, nothing else.
-- A table that an older schema does not have yet (after `migrate down`) is left out.
do $$
declare
    app text := current_setting('ratchet.app_role');
    granted record;
begin
    execute format('grant usage on schema public to %I', app);
    execute format('revoke all on all tables in schema public from %I', app);
    for granted in
        select rights, name
        from (values
            ('select, insert, update, delete', '{payments, payment_refs, reference_payments, parked_events, parked_refs, spool, leases,
                consumer_marks, sms_transactions, refetches, body_claims, intent_claims, dlq_positions}'::text[]),
            ('select, insert', '{payment_logs, discards}'),
            ('select, insert, update', '{dead_letters, relay_cursors, redrives, redrive_messages}'),
            ('select', '{schema_migrations, ledger_anchors, captures, refunds, disputes, redrive_returns}')
        ) as known (rights, names) cross join unnest(names) as name
        where to_regclass(name) is not null
    loop
        execute format('grant %s on %I to %I', granted.rights, granted.name, app);
    end loop;
end
$$;

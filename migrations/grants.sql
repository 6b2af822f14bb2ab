-- What the application's own role may do; the ledger can be read and appended to, nothing else.
do $$
declare
    app text := current_setting('ratchet.app_role');
begin
    execute format('grant usage on schema public to %I', app);
    execute format('revoke all on all tables in schema public from %I', app);
    execute format('grant select, insert, update, delete on payments, payment_refs, parked_events, parked_refs, spool,
        leases, consumer_marks, sms_transactions, refetches, body_claims to %I', app);
    execute format('grant select, insert on payment_logs to %I', app);
    execute format('grant select, insert, update on dead_letters, relay_cursors to %I', app);
    execute format('grant select on schema_migrations, captures, refunds, disputes to %I', app);
end
$$;

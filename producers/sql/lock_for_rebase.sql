lock table payments, payment_logs, dead_letters, spool, relay_cursors in exclusive mode

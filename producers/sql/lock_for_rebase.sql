lock table payments, payment_logs, dead_letters, commands, spool, relay_cursors in exclusive mode

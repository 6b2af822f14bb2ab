-- $1 digest
delete from console_sessions where digest = $1

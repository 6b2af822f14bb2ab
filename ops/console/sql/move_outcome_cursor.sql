-- $1, $2 the place reached in the ledger, $3, $4 in the dead letters, $5 the last parked event; null: where it was.
update outcome_cursors
set
    ledger_xid = coalesce($1, ledger_xid),
    ledger_id = coalesce($2, ledger_id),
    letters_xid = coalesce($3, letters_xid),
    letters_id = coalesce($4, letters_id),
    parked_id = coalesce($5, parked_id)

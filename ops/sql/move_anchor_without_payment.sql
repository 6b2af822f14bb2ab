-- $1 the highest id of the rows of no payment that are removed, $2 how many in all, $3 signature.
update anchor_without_payment
set ledger_id = greatest(ledger_id, $1), rows_removed = $2, mac = $3, updated_at = now()

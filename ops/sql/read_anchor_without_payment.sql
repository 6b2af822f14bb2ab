-- How many ledger rows of no payment retention removed, up to which id.
select ledger_id, rows_removed, mac from anchor_without_payment

-- Where counting goes on; no row while another console counts.
select ledger_xid, ledger_id, letters_xid, letters_id, parked_id from outcome_cursors for update skip locked

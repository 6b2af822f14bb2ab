-- $1 a dead letter's id. Who gave it up, why and when.
select discarded_by, because, discarded_at from discards where dead_letter_id = $1

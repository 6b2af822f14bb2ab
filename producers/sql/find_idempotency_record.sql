select fingerprint, payment_id, answer from intent_claims where client = $1 and idempotency_key = $2

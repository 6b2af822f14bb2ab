select signing_key, password_hash from console_keys

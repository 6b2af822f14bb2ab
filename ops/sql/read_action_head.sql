select last_id, hash from operator_action_heads

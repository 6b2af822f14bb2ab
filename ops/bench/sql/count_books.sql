select (select count(*) from payment_logs), (select count(*) from dead_letters), (select count(*) from parked_events)

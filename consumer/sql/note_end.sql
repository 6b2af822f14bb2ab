-- Note that a process ended with exactly this record in hand.
insert into consumer_ends (topic, partition, "offset", owner) values ($1, $2, $3, $4)
on conflict do nothing

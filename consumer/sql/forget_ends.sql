-- Forget the ends at records outside of what is still to be touched: those before survived.
delete from consumer_ends where topic = $1 and partition = $2 and ("offset" < $3 or $4)

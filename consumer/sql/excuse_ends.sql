-- Take back what was noted of processes that live, or that somebody ended on purpose.
delete from consumer_ends where owner = any($1)

-- Processes that somebody ended on purpose had nothing in hand that could be to blame.
update consumer_marks set probing_offset = null where owner = any($1) and probing_offset is not null

-- Remove the notes of partitions that a process lets go of and that are in no quarantine.
delete from consumer_marks where owner = $1 and careful_until is null

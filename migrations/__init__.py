"""The schema's history: NNNN_verb_noun.sql, each with an up and a down half; grants.sql runs after every `up`.

An applied file never changes (its checksum is kept); a change is a new file. `schema.sql` is the dump that CI compares.
"""

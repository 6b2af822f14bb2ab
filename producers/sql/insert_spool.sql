insert into spool (topic, key, value, header_names, header_values) values ($1, $2, $3, $4, $5)

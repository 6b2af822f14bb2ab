delete from schema_migrations where version = $1

-- reads the name of this database, for messages
select current_database()::text

-- How many partitions of a table hold records.
SELECT count(*) FROM pg_inherits AS i WHERE i.inhparent = $1::regclass AND pg_relation_size(i.inhrelid) > 0

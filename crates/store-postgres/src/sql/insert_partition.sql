INSERT INTO partitions (from_nanos, to_nanos, name, state) VALUES ($1, $2, $3, $4)

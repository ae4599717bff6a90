SELECT name, from_nanos, to_nanos, state FROM partitions ORDER BY name

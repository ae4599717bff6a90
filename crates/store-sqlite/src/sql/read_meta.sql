SELECT from_nanos, to_nanos FROM meta WHERE one = 1

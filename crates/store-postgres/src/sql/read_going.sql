SELECT from_nanos, name FROM partitions WHERE state = 'dropped' ORDER BY from_nanos

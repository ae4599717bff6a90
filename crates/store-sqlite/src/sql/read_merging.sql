SELECT from_group, to_group FROM merging WHERE one = 1

UPDATE merging SET from_group = ?1, to_group = ?2 WHERE one = 1

SELECT key, slice, bytes FROM merged WHERE grp = ?1

SELECT key, slice, bytes FROM merged_X WHERE grp = $1 ORDER BY key, slice

SELECT key, shift, head FROM merged_keys WHERE grp = ?1

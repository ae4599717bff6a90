SELECT key, shift, head FROM merged_keys_X WHERE grp = $1

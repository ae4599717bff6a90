SELECT key, segment, start, length, bytes FROM filters WHERE bin = ?1

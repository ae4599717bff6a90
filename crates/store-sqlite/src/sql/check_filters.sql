SELECT key, segment, start, length, bytes, number_min, number_max FROM filters WHERE bin = ?1

SELECT service, segment, start, length, bytes FROM records WHERE bin = ?1

SELECT reason, partitions, row_count, bytes, pinned, at FROM retained

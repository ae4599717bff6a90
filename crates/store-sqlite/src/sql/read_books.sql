SELECT stored, duplicate, left_out, row_count, packed_bytes FROM books WHERE one = 1

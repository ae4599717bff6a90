SELECT stored, duplicate, left_out, row_count FROM dropped WHERE one = 1

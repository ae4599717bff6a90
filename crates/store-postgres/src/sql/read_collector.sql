SELECT position, inbox_totals, stored, duplicate, left_out FROM collectors WHERE writer = $1

SELECT position, inbox_totals, stored, duplicate, left_out FROM collectors

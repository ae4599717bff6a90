SELECT position, inbox_totals FROM checkpoint WHERE one = 1

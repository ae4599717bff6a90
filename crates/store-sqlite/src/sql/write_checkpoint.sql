UPDATE checkpoint SET position = ?1, inbox_totals = ?2 WHERE one = 1

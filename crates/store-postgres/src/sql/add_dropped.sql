UPDATE dropped
SET stored = stored + $1,
    duplicate = duplicate + $2,
    left_out = left_out + $3,
    row_count = row_count + $4
WHERE one = 1

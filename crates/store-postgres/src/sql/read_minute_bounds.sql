SELECT
    (SELECT at FROM rollup_minute_X ORDER BY at LIMIT 1),
    (SELECT at FROM rollup_minute_X ORDER BY at DESC LIMIT 1)

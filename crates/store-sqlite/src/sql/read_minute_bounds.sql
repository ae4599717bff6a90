SELECT
    (SELECT at FROM rollup_minute ORDER BY at LIMIT 1),
    (SELECT at FROM rollup_minute ORDER BY at DESC LIMIT 1)

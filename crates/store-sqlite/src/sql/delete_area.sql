DELETE FROM area
WHERE piece IN (
    SELECT a.piece
    FROM json_each(?1) AS first
    CROSS JOIN area AS a ON a.piece >= first.value AND a.piece < first.value + ?2
)

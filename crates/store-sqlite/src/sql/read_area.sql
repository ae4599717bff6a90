SELECT a.piece, a.bytes
FROM json_each(?1) AS wanted
CROSS JOIN area AS a ON a.piece = wanted.value

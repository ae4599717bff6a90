INSERT INTO collectors AS c (writer, stored, duplicate, left_out) VALUES ($1, $2, $3, $4)
ON CONFLICT (writer) DO UPDATE
SET stored = c.stored + excluded.stored,
    duplicate = c.duplicate + excluded.duplicate,
    left_out = c.left_out + excluded.left_out

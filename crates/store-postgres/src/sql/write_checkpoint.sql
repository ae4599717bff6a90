INSERT INTO collectors AS c (writer, position, inbox_totals) VALUES ($1, $2, $3)
ON CONFLICT (writer) DO UPDATE SET position = excluded.position, inbox_totals = excluded.inbox_totals

SELECT id, service, kind, name FROM interfaces_X WHERE id > $1 ORDER BY id

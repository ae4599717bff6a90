SELECT id, service, kind, name FROM interfaces WHERE id > ?1 ORDER BY id

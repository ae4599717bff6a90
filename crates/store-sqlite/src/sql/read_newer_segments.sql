SELECT segment FROM segments WHERE segment > ?1 ORDER BY segment LIMIT ?2

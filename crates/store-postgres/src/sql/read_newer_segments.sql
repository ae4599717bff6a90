SELECT segment FROM segments_X WHERE segment > $1 ORDER BY segment LIMIT $2

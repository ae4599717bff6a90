DELETE FROM filters WHERE bin >= ?1 AND bin < ?2

DELETE FROM thinned WHERE name = ?1

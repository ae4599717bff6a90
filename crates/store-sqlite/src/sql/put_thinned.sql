INSERT OR REPLACE INTO thinned (name, past) VALUES (?1, ?2)

INSERT INTO upto (segment, upto_max, requests) VALUES (?1, ?2, ?3)

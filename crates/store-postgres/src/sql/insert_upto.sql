INSERT INTO upto (writer, upto_max, day, segment, requests) VALUES ($1, $2, $3, $4, $5)

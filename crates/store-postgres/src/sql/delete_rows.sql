DELETE FROM requests_X WHERE row_id = ANY ($1)

UPDATE requests_X
SET check32 = ($3::integer[])[array_position($1::bigint[], row_id)],
    spans = ($4::bytea[])[array_position($1::bigint[], row_id)]
WHERE row_id = ANY ($1) AND check32 = ($2::integer[])[array_position($1::bigint[], row_id)]
RETURNING row_id

INSERT INTO filters_X (day, segment, key, value_count, number_min, number_max, bytes)
SELECT $1::bigint, $2::bigint, *
FROM unnest($3::bigint[], $4::bigint[], $5::double precision[], $6::double precision[],
    $7::bytea[])

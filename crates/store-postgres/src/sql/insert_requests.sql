INSERT INTO requests_X (day, row_id, started_at, duration, extent, interface, status, span_count,
    hop_count, service_count, error_count, flags, capped_spans, part_count, check32, trace_id,
    code, spans)
SELECT $1::bigint, *
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::smallint[],
    $8::integer[], $9::integer[], $10::integer[], $11::integer[], $12::integer[], $13::bigint[],
    $14::integer[], $15::integer[], $16::bytea[], $17::bytea[], $18::bytea[])

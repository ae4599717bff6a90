SELECT r.service, r.segment, r.start, r.length, r.bytes
FROM json_each(?1) AS segment
CROSS JOIN json_each(?2) AS service
CROSS JOIN records AS r
    ON r.bin = segment.value >> 4 AND r.service = service.value AND r.segment = segment.value

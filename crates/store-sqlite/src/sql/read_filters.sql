SELECT f.key, f.segment, f.start, f.length, f.bytes, f.number_min, f.number_max
FROM json_each(?1) AS segment
CROSS JOIN json_each(?2) AS key
CROSS JOIN filters AS f
    ON f.bin = segment.value >> 4 AND f.key = key.value AND f.segment = segment.value

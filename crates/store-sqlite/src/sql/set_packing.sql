UPDATE books
SET packed_bytes = packed_bytes - ?1,
    packing = ?2
WHERE one = 1

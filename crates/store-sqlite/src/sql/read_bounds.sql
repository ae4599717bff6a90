SELECT
    (SELECT min_start FROM segments ORDER BY min_start LIMIT 1),
    (SELECT max_start FROM segments ORDER BY max_start DESC LIMIT 1),
    (SELECT max_duration FROM segments ORDER BY max_duration DESC LIMIT 1),
    (SELECT segment FROM segments ORDER BY segment DESC LIMIT 1),
    (SELECT segment FROM upto ORDER BY segment DESC LIMIT 1)

SELECT m.grp, m.key, m.head
FROM json_each(?1) AS grp
CROSS JOIN json_each(?2) AS key
CROSS JOIN merged_keys AS m ON m.grp = grp.value AND m.key = key.value

SELECT m.grp, m.key, asked.value ->> 1, k.shift, m.bytes
FROM json_each(?1) AS grp
CROSS JOIN json_each(?2) AS asked
CROSS JOIN merged_keys AS k ON k.grp = grp.value AND k.key = asked.value ->> 0
CROSS JOIN merged AS m ON m.grp = k.grp AND m.key = k.key AND m.slice = (asked.value ->> 1) >> k.shift

SELECT o.grp, o.interface, o.bytes
FROM json_each(?1) AS grp
CROSS JOIN json_each(?2) AS interface
CROSS JOIN outlines AS o ON o.grp = grp.value AND o.interface = interface.value

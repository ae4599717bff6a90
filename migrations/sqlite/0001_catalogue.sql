-- catalogue.db: which partitions there are, how far the inbox has become rows, what retention dropped.
-- Nothing here is needed to read a row: every partition file stands for itself.

CREATE TABLE partitions (
    name        TEXT PRIMARY KEY,           -- file name without folder and ending
    from_nanos  INTEGER NOT NULL,           -- first instant it is for
    to_nanos    INTEGER NOT NULL,           -- first instant it is no longer for
    state       TEXT NOT NULL CHECK (state IN ('live', 'dropped'))
) STRICT, WITHOUT ROWID;

-- One row. The position is Position::to_u64; before it, every span is stored or left out by rule.
CREATE TABLE checkpoint (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    position        INTEGER NOT NULL,
    inbox_totals    BLOB NOT NULL
) STRICT;
INSERT INTO checkpoint VALUES (1, 0, x'');

-- One row. Books and row counts of dropped partitions, added up.
CREATE TABLE dropped (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    stored      INTEGER NOT NULL,
    duplicate   INTEGER NOT NULL,
    left_out    INTEGER NOT NULL,
    row_count   INTEGER NOT NULL
) STRICT;
INSERT INTO dropped VALUES (1, 0, 0, 0, 0);

PRAGMA user_version = 1;

#!/usr/bin/env python3
"""Which plan a statement gets as its table grows, and what each way out costs: the figures of ADR 11, 12 and 13.

    plans.py postgres://user@host:port/database [--psql psql] [--rows 100000,1000000,5000000]
    plans.py sqlite [--folder F]                the SQLite half alone; without it both are measured

Needs Python 3 and psql, nothing else. Everything is made in a schema `hoplog_plans`, which is dropped before and after; 6 GB
while it runs, about ten minutes. Figures were taken on a server of its own with autovacuum, fsync and full_page_writes off (WAL
bytes depend on the last); all planner settings but parallel query and JIT are the defaults.

Pages are buffer accesses (shared hit + read) on PostgreSQL, distinct pages read by a fresh connection on SQLite (bytes of read
calls by the page size; Linux only). `off` is rows read and thrown away by a filter or recheck.
"""

import argparse
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time

T0 = 1_700_000_000_000  # the first request; times are milliseconds
HOUR = 3_600_000
DAY = 24 * HOUR
STEP = 864  # one request every 0.864 s: 100,000 a day

COLUMNS = "id, trace_id, service, interface, started_at, ended_at, status, duration, payload"
# 70 % of the rows are service 0's; 20 appears after row 150,000 and takes a fifth; 21 (a tenth) is switched off there; 3 never
# fails, of all others 1 % do; one request in 1,000 runs for 1 to 24 hours, one in 2,000 never ends (ended_at NULL, status 0).
ROWS = """
SELECT i, {trace}, service, service * 50 + (mix(i, 2) >> 8) % 50, t, CASE WHEN open = 0 THEN NULL ELSE t + d END,
    CASE WHEN open = 0 THEN 0 WHEN service <> 3 AND (mix(i, 3) >> 8) % 100 = 0 THEN 2 ELSE 1 END, d, {payload}
FROM (
    SELECT i, {t0} + i * {step} + (mix(i, 4) >> 8) % 5000 AS t, (mix(i, 5) >> 8) % 2000 AS open,
        CASE WHEN (mix(i, 6) >> 8) % 1000 = 0 THEN 3600000 + (mix(i, 7) >> 4) % 82800000
            WHEN (mix(i, 6) >> 8) % 1000 < 30 THEN 1000 + (mix(i, 7) >> 8) % 59000
            ELSE 5 + (mix(i, 7) >> 8) % 495 END AS d,
        CASE WHEN (mix(i, 1) >> 8) % 100 < 70 THEN 0 WHEN (mix(i, 1) >> 8) % 100 < 90 AND i >= 150000 THEN 20
            WHEN (mix(i, 1) >> 8) % 100 < 80 AND i < 150000 THEN 21 ELSE 1 + (mix(i, 8) >> 8) % 19 END AS service
    FROM {source}
) AS made
"""
TABLE = """CREATE TABLE history (id {int} PRIMARY KEY, trace_id {bytes} NOT NULL, service {int} NOT NULL,
    interface {int} NOT NULL, started_at {int} NOT NULL, ended_at {int}, status {int} NOT NULL, duration {int} NOT NULL,
    payload {bytes} NOT NULL)"""
INDEXES = ["started_at", "ended_at", "service", "status", "interface"]
EIGHT = [*INDEXES, "trace_id", "duration"]


def mix(i, k):
    x = (i + k * 9_999_991) * 2654435761 % 4294967296
    return (x ^ (x >> 15)) * 1540483477 % 4294967296


def table(title, head, rows):
    print(f"\n### {title}\n\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) + " |")
    sys.stdout.flush()


def note(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


# --- the questions --------------------------------------------------------------------------------------------------


def window(column, start, end):
    return f"({column} >= {start} AND {column} < {end})"


def errors(service):
    return f"SELECT id FROM history WHERE service = {service} AND status = 2 ORDER BY started_at DESC LIMIT 50"


def latest(service):
    return f"SELECT id FROM history WHERE service = {service} ORDER BY started_at DESC LIMIT 50"


def hour_of(service, end):
    return f"SELECT count(*), sum(duration) FROM history WHERE service = {service} AND {window('started_at', end - HOUR, end)}"


RUNNING = "SELECT count(*) FROM history WHERE status = 0"
SUMS = "SELECT count(*), sum(duration) FROM ({}) AS x"


def forms(a, b):
    """Started in A or ended in B."""
    started, ended = window("started_at", *a), window("ended_at", *b)
    some = "SELECT id, started_at, duration, payload FROM history WHERE"
    return {
        "OR": f"{some} {started} OR {ended}",
        "UNION ALL, second branch AND NOT started in A": f"{some} {started} UNION ALL {some} {ended} AND NOT {started}",
        "UNION ALL, the predicate on the column that may be NULL": f"{some} {ended} UNION ALL {some} {started} AND NOT {ended}",
        "UNION of whole rows": f"{some} {started} UNION {some} {ended}",
        "UNION of ids, then the rows": "SELECT h.id, h.started_at, h.duration, h.payload FROM (SELECT id FROM history WHERE"
        f" {started} UNION SELECT id FROM history WHERE {ended}) AS u JOIN history AS h ON h.id = u.id",
    }


def newest(a, b):
    """The same, the newest 50."""
    started, ended = window("started_at", *a), window("ended_at", *b)
    some, last = "SELECT id, started_at FROM history WHERE", "ORDER BY started_at DESC LIMIT 50"
    branches = f"SELECT * FROM ({some} {started} {last}) AS a UNION ALL SELECT * FROM ({some} {ended} AND NOT {started} {last}) AS b"
    return {
        "OR": f"{some} ({started} OR {ended}) {last}",
        "UNION ALL, limit outside": f"{some} {started} UNION ALL {some} {ended} AND NOT {started} {last}",
        "UNION ALL, limit in each branch": f"{branches} {last}",
        "the same, second branch AND started_at < end of B": f"{branches.replace(' AND NOT', f' AND started_at < {b[1]} AND NOT')} {last}",
    }


def two_windows(a, b):
    """Two disjoint windows of one column, the newest 50 of one service."""
    some, last = "SELECT id, started_at FROM history WHERE service = 0 AND", "ORDER BY started_at DESC LIMIT 50"
    one, two = window("started_at", *a), window("started_at", *b)
    return {
        "OR": f"{some} ({one} OR {two}) {last}",
        "UNION ALL": f"SELECT * FROM ({some} {one} {last}) AS a UNION ALL SELECT * FROM ({some} {two} {last}) AS b {last}",
    }


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


class Postgres:
    def __init__(self, url, psql):
        self.command = [psql, "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", "-"]

    def run(self, text):
        settings = (
            "SET client_min_messages = warning; SET search_path = hoplog_plans, public;"
            "SET max_parallel_workers_per_gather = 0; SET max_parallel_maintenance_workers = 0; SET jit = off;"
            "SET maintenance_work_mem = '256MB';\n"
        )
        done = subprocess.run(self.command, input=settings + text, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"psql: {done.stderr}\n{text[:500]}")
        return done.stdout.strip()

    def explain(self, text, before="", after="", options="ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON"):
        out = self.run(f"{before}\nEXPLAIN ({options}) {text};\n{after}")
        top = json.JSONDecoder().raw_decode(out[out.index("[\n") :])[0][0]
        return Answer(top)

    def value(self, text):
        return self.run(text + ";")

    def size(self, relation):
        return int(self.value(f"SELECT pg_table_size('{relation}')"))


class Answer:
    def __init__(self, top):
        self.top, self.node = top, top["Plan"]
        self.pages = sum(self.node.get(f"Shared {kind} Blocks", 0) for kind in ("Hit", "Read"))
        self.ms = round(top.get("Execution Time", 0))
        self.off = 0
        self.words = []
        self.walk(self.node)
        self.plan = " + ".join(dict.fromkeys(self.words)) or self.node["Node Type"].lower()

    def walk(self, node):
        kind, loops = node["Node Type"], node.get("Actual Loops", 1)
        for name in ("Rows Removed by Filter", "Rows Removed by Index Recheck", "Rows Removed by Join Filter"):
            self.off += round(node.get(name, 0) * loops)
        if kind == "Seq Scan":
            self.words.append("**seq scan**")
        elif kind in ("Index Scan", "Index Only Scan"):
            back = " backward" if node.get("Scan Direction") == "Backward" else ""
            self.words.append(f"{'index only' if 'Only' in kind else 'index'} {short(node['Index Name'])}{back}")
        elif kind == "Bitmap Index Scan":
            self.words.append(f"bitmap {short(node['Index Name'])}")
        elif kind in ("Sort", "Incremental Sort", "BitmapOr", "BitmapAnd", "Hash Join", "Nested Loop", "Merge Join", "Merge Append", "Unique"):
            self.words.append(kind.lower() if not kind.startswith("Bitmap") else kind)
        elif kind == "Aggregate" and node.get("Strategy") == "Hashed":
            self.words.append("hash")
        for child in node.get("Plans", []):
            self.walk(child)

    @property
    def estimate(self):
        node = self.node
        while "Plans" in node and node["Node Type"] in ("Aggregate", "Limit", "Sort", "Result"):
            node = node["Plans"][0]
        return f"{round(node['Plan Rows']):,} / {round(node.get('Actual Rows', 0) * node.get('Actual Loops', 1)):,}"


def short(name):
    return re.sub(r"daily_\d+_", "daily ", name.removeprefix("history_").removesuffix("_idx"))


def measured(answer):
    return [answer.plan, answer.pages, answer.off, answer.ms]


FOUR = ["plan", "pages", "off", "ms"]


WITH_WAL = "ANALYZE, BUFFERS, WAL, TIMING OFF, FORMAT JSON"
PAYLOAD = "decode(repeat('ab', 200), 'hex')"


def pg_rows(begin, end, t0):
    source = f"generate_series({begin}::bigint, {end - 1}) AS i"
    return ROWS.format(trace="decode(md5(i::text), 'hex')", payload=PAYLOAD, t0=t0, step=STEP, source=source)


def pg_load(pg, begin, end):
    note(f"PostgreSQL: rows {begin:,} to {end:,}")
    rows = pg_rows(begin, end, T0)
    pg.run(f"INSERT INTO history ({COLUMNS}) {rows};")


def pg_start(pg):
    pg.run("DROP SCHEMA IF EXISTS hoplog_plans CASCADE; CREATE SCHEMA hoplog_plans;")
    once = "(((i + k * 9999991) * 2654435761) % 4294967296)"
    pg.run(
        "CREATE FUNCTION mix(i bigint, k bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS"
        f" $$ SELECT (({once} # ({once} >> 15)) * 1540483477) % 4294967296 $$;"
        + TABLE.format(int="bigint", bytes="bytea")
        + " WITH (autovacuum_enabled = off);"
        + "".join(f"CREATE INDEX history_{name} ON history ({name});" for name in [*INDEXES, "trace_id"])
    )


def ids_forms(count):
    wanted = ",".join(f'"\\\\x{hashlib.md5(str(n * 13).encode()).hexdigest()}"' for n in range(1, count + 1))
    select = "SELECT h.id, h.payload FROM"
    return f"'{{{wanted}}}'", {
        "JOIN unnest($1)": f"{select} unnest($1) AS w (t) JOIN history AS h ON h.trace_id = w.t",
        "= ANY ($1)": f"{select} history AS h WHERE h.trace_id = ANY ($1)",
        "LATERAL (... OFFSET 0)": f"{select} unnest($1) AS w (t)"
        " CROSS JOIN LATERAL (SELECT id, payload FROM history WHERE trace_id = w.t OFFSET 0) AS h",
    }


def pg_flips(pg, sizes):
    """ADR 11: the same statements as the table grows, with statistics of before and of now."""
    shown, ids, had = [], [], 0
    for number, size in enumerate(sizes):
        pg_load(pg, had, size)
        end, had = T0 + size * STEP, size
        questions = {
            "newest 50 of service 21 (switched off)": latest(21),
            "newest 50 errors of service 0": errors(0),
            "last hour of service 20": hour_of(20, end),
            "what is running": RUNNING,
        }
        for statistics in (f"of {sizes[number - 1]:,}", "fresh") if number else ("fresh",):
            if statistics == "fresh":
                pg.run("VACUUM ANALYZE history;")
            for name, text in questions.items():
                answer = pg.explain(text)
                shown.append([name, size, statistics, answer.plan, answer.estimate, answer.pages, answer.off, answer.ms])
            for count in (512, 5000):
                wanted, ways = ids_forms(count)
                for name, text in ways.items():
                    for mode in ("custom", "generic"):
                        answer = pg.explain(
                            f"EXECUTE s ({wanted})",
                            f"SET plan_cache_mode = force_{mode}_plan;"
                            f"PREPARE s (bytea[]) AS {text};",
                        )
                        ids.append([name, count, size, statistics, mode, *measured(answer)])
        if number == 0:
            # The statistics that will be stale: taken while a fifth of the rows was running.
            late = f"id >= {size * 8 // 10} AND status <> 0"
            pg.run(
                f"CREATE TABLE was AS SELECT id, status, ended_at FROM history WHERE {late};"
                f"UPDATE history SET status = 0, ended_at = NULL WHERE {late}; ANALYZE history;"
                "UPDATE history AS h SET status = w.status, ended_at = w.ended_at FROM was AS w WHERE h.id = w.id; DROP TABLE was;"
            )
    shown.sort(key=lambda row: list(questions).index(row[0]))
    head = ["question", "rows", "statistics", "plan", "estimated / real rows", "pages", "off", "ms"]
    table("ADR 11, PostgreSQL: the plan as the table grows", head, shown)
    ids.sort(key=lambda row: row[0])
    table("ADR 11, PostgreSQL: rows by id", ["form", "ids", "rows", "statistics", "planned", *FOUR], ids)


def pg_ways_out(pg, size):
    """ADR 11: what helps at the largest size, and what it does to the next question."""
    end = T0 + size * STEP
    wide = f"SELECT count(*), sum(duration) FROM history WHERE interface < 50 AND {window('ended_at', T0, end)}"
    target = "ALTER TABLE history ALTER service SET STATISTICS {0}, ALTER started_at SET STATISTICS {0}; ANALYZE history;"
    both = "CREATE STATISTICS both_of (mcv, dependencies, ndistinct) ON service, started_at FROM history; ANALYZE history;"
    ways = [
        ("as it is", "", ""),
        ("index on service forced (a MATERIALIZED fence)", "", ""),
        ("walk by time forbidden (ORDER BY started_at + 0)", "", ""),
        ("statistics target 10,000 for both columns", target.format(10000), target.format(-1)),
        ("CREATE STATISTICS on both, all kinds", both, "DROP STATISTICS both_of; ANALYZE history;"),
        ("index (service, started_at)", "CREATE INDEX history_2 ON history (service, started_at);", "DROP INDEX history_2;"),
    ]
    rows = []
    for name, make, drop in ways:
        note(f"way out: {name}")
        pg.run(make)
        row = [name]
        for service in (21, 5, 0):
            text = latest(service)
            if "+ 0" in name:
                text = text.replace("started_at DESC", "started_at + 0 DESC")
            elif "fence" in name:
                text = FENCED.format(service)
            answer = pg.explain(text)
            row += [answer.plan, answer.pages]
        rows.append(row)
        pg.run(drop)
    head = ["way", "service 21 (switched off): plan", "pages", "service 5 (one row in 190): plan", "pages", "service 0 (most): plan", "pages"]
    table(f"ADR 11, PostgreSQL, {size:,} rows: newest 50 of a service", head, rows)
    forced = []
    ever = "SELECT count(*), sum(duration) FROM history WHERE service = 0"
    for name, before in (("free", ""), ("SET enable_seqscan = off", "SET enable_seqscan = off;")):
        for what, text in (
            ("last hour", hour_of(0, end)),
            ("service 0, ever", ever),
            ("interface < 50, ever", wide),
        ):
            forced.append([what, name, *measured(pg.explain(text, before))])
    no_bitmap = "SET enable_seqscan = off; SET enable_bitmapscan = off;"
    forced.append(["service 0, ever", "bitmaps off, too", *measured(pg.explain(ever, no_bitmap))])
    table(f"ADR 11, PostgreSQL, {size:,} rows: a force that outlives its reason", ["question", "planner", *FOUR], forced)


FENCED = """WITH f AS MATERIALIZED (SELECT id, started_at FROM history WHERE service = {})
    SELECT id FROM f ORDER BY started_at DESC LIMIT 50"""


def pg_comeback(pg, size):
    """ADR 11: the data change: service 21 is switched on again, 5 % more rows."""
    more = size // 20

    def add(first, service):
        started = f"{T0 + size * STEP} + n * 10"
        pg.run(
            f"INSERT INTO history SELECT {size} + n, decode(md5((-n)::text), 'hex'), {service}, {service * 50}, {started}, {started} + 5, 1, 5,"
            f" {PAYLOAD} FROM generate_series({first}, {first + more - 1}) AS n;"
        )

    add(1, 21)
    rows = []
    for statistics in ("of before", "fresh"):
        if statistics == "fresh":
            pg.run("VACUUM ANALYZE history;")
        for name, text in (("free", latest(21)), ("index on service forced", FENCED.format(21))):
            rows.append([name, statistics, *measured(pg.explain(text))])
    pg.run("CREATE INDEX history_2 ON history (service, started_at);")
    rows.append(["index (service, started_at)", "fresh", *measured(pg.explain(latest(21)))])
    add(more + 1, 0)
    rows.append(["the same, off again and as many rows of others later", "of before", *measured(pg.explain(latest(21)))])
    alone = pg.explain(latest(21), "BEGIN; DROP INDEX history_started_at;", "ROLLBACK;")
    rows.append(["the same without (started_at)", "of before", *measured(alone)])
    pg.run(f"DROP INDEX history_2; DELETE FROM history WHERE id > {size}; VACUUM ANALYZE history;")
    table(f"ADR 11, PostgreSQL: newest 50 of service 21 once it is back ({more:,} rows)", ["way", "statistics", *FOUR], rows)


NEWEST_SEGMENTS = """SELECT segment, min_start, max_start, min_duration, max_duration, heads FROM segments {by}
    WHERE (max_start, segment) < ({0}, {1}) AND max_start >= {2} AND min_start < {3}
    ORDER BY max_start DESC, segment DESC LIMIT {4}"""
SLOWEST_SEGMENTS = """SELECT segment, min_start, max_start, min_duration, max_duration, heads FROM segments {by}
    WHERE (max_duration, segment) < ({0}, {1}) AND max_start >= {2} AND min_start < {3}
    ORDER BY max_duration DESC, segment DESC LIMIT {4}"""
SEGMENTS = """CREATE TABLE segments (segment {int} PRIMARY KEY, min_start {int} NOT NULL, max_start {int} NOT NULL,
    min_duration {int} NOT NULL, max_duration {int} NOT NULL, heads {bytes} NOT NULL){strict};
    CREATE INDEX segments_newest ON segments (max_start, segment, min_start);
    CREATE INDEX segments_slowest ON segments (max_duration, segment, min_start, max_start);
    CREATE INDEX segments_oldest ON segments (min_start);"""
SEGMENT_ROWS = "SELECT n, n * 400, n * 400 + 6000, 1, (n * 7919) % 10000, {heads} FROM {source}"


# What hoplog's sessions set, beside the plan cache.
BY_INDEX = "".join(f"SET enable_{way} = off; " for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin"))


def pg_hoplog(pg):
    """ADR 11: hoplog's own walk: plan on the empty, the small and the full table, statistics missing or of the empty table."""
    heads = "decode(repeat('ab', 1500), 'hex')"
    segments = SEGMENTS.format(int="bigint", bytes="bytea", strict=" WITH (autovacuum_enabled = off)")
    rows = []
    for taken in ("never", "when empty", "fresh"):
        pg.run("DROP TABLE IF EXISTS segments;" + segments)
        if taken == "when empty":
            pg.run("ANALYZE segments;")
        had = 0
        for size in (0, 200, 200_000):
            source = f"generate_series({had + 1}::bigint, {size}) AS n"
            pg.run(f"INSERT INTO segments {SEGMENT_ROWS.format(heads=heads, source=source)};")
            had = size
            if taken == "fresh":
                pg.run("VACUUM ANALYZE segments;")
            for mode in ("custom", "generic"):
                text = NEWEST_SEGMENTS.format("$1", "$2", "$3", "$4", "$5", by="")
                answer = pg.explain(
                    f"EXECUTE s ({size * 200}, 0, 0, {size * 400}, 8)",
                    f"SET plan_cache_mode = force_{mode}_plan; PREPARE s (bigint, bigint, bigint, bigint, bigint) AS {text};",
                )
                rows.append([taken, size, mode, *measured(answer)])
    fill = f"INSERT INTO segments {SEGMENT_ROWS.format(heads=heads, source='generate_series(1::bigint, 200000) AS n')};"
    types = "bigint, bigint, bigint, bigint, bigint"
    # A plan that the session made when the table was empty, and keeps while it grows.
    for taken in ("never", "when empty"):
        for mode in ("auto", "force_custom_plan", f"force_generic_plan; {BY_INDEX}"):
            pg.run("DROP TABLE segments;" + segments)
            pg.run("ANALYZE segments;" if taken == "when empty" else "SELECT 1;")
            before = f"SET plan_cache_mode = {mode}; PREPARE s ({types}) AS {text}; {'EXECUTE s (0, 0, 0, 0, 8);' * 7} {fill}"
            answer = pg.explain("EXECUTE s (40000000, 0, 0, 80000000, 8)", before)
            rows.append([taken, 200_000, f"session that asked 7 times when empty, plan_cache_mode {mode.split(';')[0]}{', all but index off' * (';' in mode)}", *measured(answer)])
    table("ADR 11, PostgreSQL: hoplog's newest segments, 8 of them", ["statistics taken", "rows", "planned", *FOUR], rows)
    rows = []
    pg.run("VACUUM ANALYZE segments;")
    for what, begin, end in (("all", 0, 80_000_000), ("a hundredth, in the middle", 40_000_000, 40_800_000)):
        for mode in ("custom", "generic"):
            slow = SLOWEST_SEGMENTS.format("$1", "$2", "$3", "$4", "$5", by="")
            before = f"SET plan_cache_mode = force_{mode}_plan; PREPARE s ({types}) AS {slow};"
            rows.append([what, mode, *measured(pg.explain(f"EXECUTE s (20000, 0, {begin}, {end}, 8)", before))])
    table("ADR 11, PostgreSQL: hoplog's slowest segments, 8 of 200,000", ["time", "planned", *FOUR], rows)
    rows = []
    ask = "SELECT segment FROM records WHERE service = ANY ($1) AND segment = ANY ($2)"
    for taken in ("never", "when empty", "of 2,000 rows", "fresh"):
        for second in ("", "CREATE INDEX records_segment ON records (segment);"):
            make = "DROP TABLE IF EXISTS records; CREATE TABLE records (service bigint, segment bigint, bytes bytea, PRIMARY KEY (service, segment))"
            pg.run(f"{make} WITH (autovacuum_enabled = off); {second}" + ("ANALYZE records;" if taken == "when empty" else ""))
            for begin, end in ((0, 99), (100, 9999)):
                pg.run(
                    f"INSERT INTO records SELECT v, g, decode(repeat('ab', 60), 'hex') FROM generate_series({begin}, {end}) AS g,"
                    " generate_series(1, 20) AS v;" + ("ANALYZE records;" if taken == "fresh" or taken.startswith("of") and end == 99 else "")
                )
            before = f"SET plan_cache_mode = force_generic_plan; {BY_INDEX} PREPARE s (bigint[], bigint[]) AS {ask};"
            given = "'{7}', '{" + ",".join(str(n) for n in range(1000, 1128)) + "}'"
            rows.append([taken, "and (segment)" if second else "the key", *measured(pg.explain(f"EXECUTE s ({given})", before))])
    pg.run("DROP TABLE segments, records;")
    table("ADR 11, PostgreSQL: records of 1 service in 128 of 10,000 segments, all but index off", ["statistics taken", "indexes", *FOUR], rows)


def pg_ranges(pg, size):
    """ADR 12."""
    end = T0 + size * STEP
    a, b = (end - 13 * HOUR, end - 12 * HOUR), (end - 2 * HOUR, end - HOUR)
    old = (T0 + HOUR, T0 + 2 * HOUR), (T0 + 3 * HOUR, T0 + 4 * HOUR)
    rows = []
    for name, text in forms(a, b).items():
        answer = pg.explain(SUMS.format(text))
        count = pg.value(SUMS.format(text)).split("|")[0]
        rows.append([name, int(count), *measured(answer)])
    table(f"ADR 12, PostgreSQL, {size:,} rows: started in A or ended in B, everything", ["form", "rows found", *FOUR], rows)
    rows = []
    for when, windows in (("recent windows", (a, b)), ("old windows", old)):
        rows += [[when, name, *measured(pg.explain(text))] for name, text in newest(*windows).items()]
    for name, text in two_windows((T0 + HOUR, T0 + 2 * HOUR), (end - 2 * HOUR, end - 2 * HOUR + 20_000)).items():
        rows.append(["two windows of one column", name, *measured(pg.explain(text))])
    table(f"ADR 12, PostgreSQL, {size:,} rows: the newest 50", ["windows", "form", *FOUR], rows)
    rows = []
    for what, x, y in (
        ("A open above (last hour), B open below (first hour)", (end - HOUR, 2**60), (0, T0 + HOUR)),
        ("A the last hour, B open above, half of the table", (end - HOUR, end), (T0 + (end - T0) // 2, 2**60)),
    ):
        ways = forms(x, y)
        rows += [[what, name, *measured(pg.explain(SUMS.format(ways[name])))] for name in list(ways)[:2]]
    middle = T0 + (end - T0) // 2
    hour = (middle, middle + HOUR)
    some = "SELECT id, duration FROM history WHERE"
    overlap = f"{some} started_at < {hour[1]} AND ended_at >= {hour[0]}"
    ran = "ran at any time within an hour"
    rows.append([ran, "started_at < to AND ended_at >= from", *measured(pg.explain(SUMS.format(overlap)))])
    bounded = f"{overlap} AND started_at >= {hour[0] - DAY}"
    rows.append([ran, "and started_at >= from - longest duration", *measured(pg.explain(SUMS.format(bounded)))])
    before = f"started_at < {hour[0]} AND ended_at >= {hour[0]}"
    split = (
        f"{some} {window('started_at', *hour)}"
        f" UNION ALL {some} started_at >= {hour[0] - DAY} AND {before} AND duration > 60000"
        f" UNION ALL {some} started_at >= {hour[0] - 60000} AND {before} AND duration <= 60000"
    )
    pg.run("CREATE INDEX history_long ON history (started_at, ended_at) WHERE duration > 60000; ANALYZE history;")
    rows.append([ran, "UNION ALL by duration, partial index on what is longer", *measured(pg.explain(SUMS.format(split)))])
    pg.run("DROP INDEX history_long;")
    half = min(size // 2, 250_000)
    pg.run(
        f"CREATE TABLE part AS SELECT * FROM history WHERE id BETWEEN {size // 2 - half} AND {size // 2 + half};"
        "CREATE INDEX part_started_at ON part (started_at); CREATE INDEX part_range ON part USING gist (int8range(started_at, ended_at));"
        "VACUUM ANALYZE part;"
    )
    ranged = f"SELECT id, duration FROM part WHERE int8range(started_at, ended_at) && int8range({hour[0]}, {hour[1]})"
    sizes = f"{pg.size('part_range') >> 20} MiB against {pg.size('part_started_at') >> 20} of (started_at)"
    rows.append([ran, f"GiST on the range, over {2 * half:,} rows ({sizes})", *measured(pg.explain(SUMS.format(ranged)))])
    pg.run("DROP TABLE part;")
    table(f"ADR 12, PostgreSQL, {size:,} rows: open ends", ["question", "form", *FOUR], rows)
    rows = []
    pg.run("DROP INDEX history_ended_at; CREATE INDEX history_service_ended ON history (service, ended_at); ANALYZE history;")
    ways = forms(a, b)
    for name in list(ways)[:2]:
        rows.append(["ended_at only second in an index (service, ended_at)", name, *measured(pg.explain(SUMS.format(ways[name])))])
    some = "SELECT id, started_at, duration, payload FROM history WHERE service = 5 AND"
    one, two = window("started_at", *a), window("ended_at", *b)
    rows.append(["the same, and service = 5", "OR", *measured(pg.explain(SUMS.format(f"{some} ({one} OR {two})")))])
    union = f"{some} {one} UNION ALL {some} {two} AND NOT {one}"
    rows.append(["the same, and service = 5", "UNION ALL", *measured(pg.explain(SUMS.format(union)))])
    pg.run("DROP INDEX history_service_ended; CREATE INDEX history_ended_at ON history (ended_at); ANALYZE history;")
    table(f"ADR 12, PostgreSQL, {size:,} rows: one of the indexes is not there", ["indexes", "form", *FOUR], rows)


def pg_indexes(pg, size):
    """ADR 13: a table with eight indexes, two new questions."""
    end = T0 + size * STEP
    week, day = window("started_at", end - 7 * DAY, end), window("started_at", end - DAY, end)
    listing = f"SELECT id, payload FROM history WHERE service = 5 AND status = 2 AND {week} ORDER BY started_at DESC LIMIT 50"
    sums = f"SELECT count(*), sum(duration) FROM history WHERE service = 5 AND {day}"
    hours = "started_at / 3600000 BETWEEN {} AND {}"
    of_week, of_day = (hours.format(since // HOUR, end // HOUR) for since in (end - 7 * DAY, end - DAY))
    bucket_list = listing.replace("status = 2", f"status = 2 AND {of_week}")
    bucket = f"{sums} AND {of_day}"
    pg.run("CREATE INDEX history_duration ON history (duration); VACUUM ANALYZE history;")
    total = "SELECT sum(pg_relation_size(indexrelid)) FROM pg_index WHERE indrelid = 'history'::regclass"
    heap = pg.size("history")

    def insert():
        # Rows older than every window, so that what a rollback leaves behind is in nobody's way.
        rows = pg_rows(50_000_001, 50_010_001, T0 - DAY * 900)
        answer = pg.explain(f"INSERT INTO history ({COLUMNS}) {rows}", "BEGIN;", "ROLLBACK;", WITH_WAL)
        return [round(answer.pages / 10_000, 1), round(answer.node["WAL Bytes"] / 10_000)]

    plain = (listing, sums)
    timed, whole = "(service, started_at)", "(service, started_at, status) INCLUDE (duration)"
    # Name, the index that comes (x), those that go, the two questions.
    ways = [
        (f"as it is: {' '.join(f'({name})' for name in EIGHT)} and the key", "", [], plain),
        ("a ninth, (service, status, started_at)", "(service, status, started_at)", [], plain),
        (f"(service) becomes {timed}", timed, ["service"], plain),
        (f"(service) becomes {timed} INCLUDE (status, duration)", f"{timed} INCLUDE (status, duration)", ["service"], plain),
        (f"(service) becomes {whole}", whole, ["service"], plain),
        (f"(status) becomes {timed} WHERE status = 2", f"{timed} WHERE status = 2", ["status"], plain),
        ("(started_at) becomes BRIN", "USING brin (started_at) WITH (pages_per_range = 32)", ["started_at"], plain),
        ("(service) becomes (service, hour of started_at)", "(service, (started_at / 3600000))", ["service"], (bucket_list, bucket)),
        (f"(service), (status) and (interface) go, {whole} comes", whole, ["service", "status", "interface"], plain),
    ]
    rows = []
    for name, comes, go, (first, second) in ways:
        note(name)
        if comes:
            dropped = "".join(f"DROP INDEX history_{column};" for column in go)
            pg.run(f"CREATE INDEX x ON history {comes}; {dropped} VACUUM ANALYZE history;")
        made = pg.size("x") >> 20 if comes else ""
        one, two = pg.explain(first), pg.explain(second)
        rows.append([name, made, int(pg.value(total)) >> 20, one.plan, one.pages, two.plan, two.pages, *insert()])
        if comes:
            pg.run("DROP INDEX x;" + "".join(f"CREATE INDEX history_{column} ON history ({column});" for column in go))
    note("side table, records, roll-up")
    pg.run(
        "CREATE TABLE failed (service bigint, started_at bigint, id bigint, PRIMARY KEY (service, started_at, id));"
        "INSERT INTO failed SELECT service, started_at, id FROM history WHERE status = 2 ORDER BY 1, 2, 3;"
        # One record a service and 512 rows: which of them are its, which of these failed (bit strings), and their bounds.
        "CREATE TABLE records (service bigint, max_start bigint, segment bigint, min_start bigint, mine bit varying(512),"
        " failed bit varying(512), PRIMARY KEY (service, max_start, segment));"
        "INSERT INTO records SELECT s.service, max(h.started_at), s.segment, min(h.started_at),"
        " string_agg((h.service = s.service)::int::text, '' ORDER BY h.id)::bit varying,"
        " string_agg((h.service = s.service AND h.status = 2)::int::text, '' ORDER BY h.id)::bit varying"
        f" FROM (SELECT DISTINCT service, id / 512 AS segment FROM history WHERE id >= {size - 512 * 2000} AND id < {size}) AS s"
        " JOIN history AS h ON h.id BETWEEN s.segment * 512 AND s.segment * 512 + 511 GROUP BY s.service, s.segment;"
        "CREATE TABLE hours (service bigint, at bigint, count bigint, sum numeric, PRIMARY KEY (service, at));"
        "INSERT INTO hours SELECT service, started_at / 3600000, count(*), sum(duration) FROM history GROUP BY 1, 2 ORDER BY 2, 1;"
        "VACUUM ANALYZE failed; VACUUM ANALYZE records; VACUUM ANALYZE hours;"
    )
    aside = (
        f"SELECT h.id, h.payload FROM (SELECT id, started_at FROM failed WHERE service = 5 AND {week}"
        " ORDER BY started_at DESC LIMIT 50) AS f JOIN history AS h ON h.id = f.id ORDER BY f.started_at DESC"
    )
    by_record = (
        "SELECT h.id, h.payload FROM (SELECT segment * 512 + n AS id FROM (SELECT segment, failed FROM records"
        f" WHERE service = 5 AND max_start >= {end - 7 * DAY} AND failed <> 0::bit(512) ORDER BY max_start DESC, segment DESC) AS r"
        " CROSS JOIN LATERAL generate_series(511, 0, -1) AS n WHERE get_bit(r.failed, n) = 1) AS f"
        f" CROSS JOIN LATERAL (SELECT id, payload FROM history WHERE id = f.id AND {week} OFFSET 0) AS h LIMIT 50"
    ).replace("failed <> 0::bit(512)", "position(B'1' IN failed) > 0")
    by_hour = f"SELECT sum(count), sum(sum) FROM hours WHERE service = 5 AND at BETWEEN {(end - DAY) // HOUR} AND {end // HOUR}"
    part = 2000 * 512 / size
    def beside(what, size, text):
        answer = pg.explain(text)
        extra.append([what, size if isinstance(size, str) else f"{size / 2**20:.1f} MiB", answer.plan, answer.pages])

    def keyed(name):
        return pg.size(name) + pg.size(f"{name}_pkey")

    extra = []
    beside("a side table (service, started_at, id) of what failed; (status) may go", keyed("failed"), aside)
    beside("search records of 512 rows (bitmaps), rows opened by key", keyed("records") / part, by_record)
    beside("roll-up by hour for the sums (whole hours)", keyed("hours"), by_hour)
    note("partitions")
    days = range(-1, (size * STEP) // DAY + 1)
    made = (f"CREATE TABLE daily_{n + 1} PARTITION OF daily FOR VALUES FROM ({T0 + n * DAY}) TO ({T0 + (n + 1) * DAY});" for n in days)
    pg.run("CREATE TABLE daily (LIKE history) PARTITION BY RANGE (started_at);" + "".join(made))
    pg.run(f"INSERT INTO daily SELECT * FROM history WHERE id < {size}; CREATE INDEX ON daily (service);")
    pg.run("VACUUM ANALYZE daily;")

    def of_days(text):
        return text.replace("FROM history", "FROM daily")

    def each(table):
        sizes = f"SELECT max(pg_relation_size(indexrelid)) FROM pg_index WHERE indrelid = '{table}'::regclass"
        return f"{int(pg.value(sizes)) / 2**20:.1f} MiB a day"

    newest_days = [n + 1 for n in days][-9:]
    full_day = f"daily_{newest_days[0]}"
    beside("partitions by day, (service) alone: newest 50 errors of the week", each(full_day), of_days(listing))
    beside("partitions by day, (service) alone: sums of a day", each(full_day), of_days(sums))
    pg.run("".join(f"CREATE INDEX ON daily_{n} (service, status, started_at); ANALYZE daily_{n};" for n in newest_days))
    beside("(service, status, started_at) on the newest nine, too: errors of the week", each(full_day), of_days(listing))
    pg.run("CREATE INDEX ON daily (service, status, started_at); VACUUM ANALYZE daily;")
    beside(f"on all {len(days)}: newest 50 errors of service 5 at any time", "", of_days(errors(5)))
    beside(f"on all {len(days)}: newest 50 errors of service 3 (none) at any time", "", of_days(errors(3)))
    head = ["way", "new MiB", "all indexes MiB", "newest 50 errors of service 5 in 7 days: plan", "pages", "its sums of a day: plan", "pages"]
    head += ["pages a row written", "WAL bytes a row"]
    table(f"ADR 13, PostgreSQL, {size:,} rows ({heap >> 20} MiB): two new questions to a table with eight indexes", head, rows)
    table("ADR 13, PostgreSQL: beside the table", ["way", "size", "plan", "pages"], extra)


def pg_updates(pg):
    """ADR 13: a request that ends: the update with and without an index on a column it sets."""
    rows = []
    for name, index in (("no index on ended_at or status", ""), ("an index on status", "CREATE INDEX ON short (status);")):
        pg.run(
            "DROP TABLE IF EXISTS short; CREATE TABLE short WITH (autovacuum_enabled = off, fillfactor = 80) AS SELECT * FROM history LIMIT 50000;"
            "CREATE UNIQUE INDEX ON short (id); CREATE INDEX ON short (trace_id); CREATE INDEX ON short (started_at);"
            "CREATE INDEX ON short (service, started_at);"
            + index
        )
        answer = pg.explain("UPDATE short SET ended_at = started_at + 5, status = 4 - status WHERE id % 10 = 0", options=WITH_WAL)
        rows.append([name, round(answer.node["WAL Bytes"] / 5000), round(answer.node["WAL Records"] / 5000, 1), round(answer.pages / 5000, 1)])
    pg.run("DROP TABLE short;")
    table("ADR 13, PostgreSQL: ending a request, an UPDATE", ["indexes", "WAL bytes a row", "WAL records a row", "pages a row"], rows)


def postgres(arguments, sizes):
    pg = Postgres(arguments.target, arguments.psql)
    print(f"PostgreSQL {pg.value('SHOW server_version').split()[0]}")
    pg_start(pg)
    pg_hoplog(pg)
    pg_flips(pg, sizes)
    pg_ways_out(pg, sizes[-1])
    pg_comeback(pg, sizes[-1])
    pg_ranges(pg, sizes[-1])
    pg_indexes(pg, sizes[-1])
    pg_updates(pg)
    pg.run("DROP SCHEMA hoplog_plans CASCADE;")


# --- SQLite ---------------------------------------------------------------------------------------------------------


class Sqlite:
    def __init__(self, path):
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.create_function("mix", 2, mix, deterministic=True)
        self.connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000;")

    def run(self, text):
        self.connection.executescript(text)

    def pages(self, text):
        """Distinct pages a fresh connection reads for one statement, and what it found."""
        fresh = sqlite3.connect(self.path, isolation_level=None)
        fresh.execute("PRAGMA cache_size = -3000000")
        fresh.execute("PRAGMA mmap_size = 0")
        size = fresh.execute("PRAGMA page_size").fetchone()[0]
        fresh.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        before = self.read()
        found = fresh.execute(text).fetchall()
        pages = (self.read() - before) // size
        fresh.close()
        return pages, found

    @staticmethod
    def read():
        with open("/proc/self/io", encoding="ascii") as file:
            return int(file.readline().split()[1])

    def plan(self, text):
        try:
            lines = [row[3] for row in self.connection.execute("EXPLAIN QUERY PLAN " + text)]
        except sqlite3.OperationalError as error:
            return f"error: {error}"
        kept = [line.replace("history_", "").replace("USING ", "") for line in lines if line.startswith(("SCAN", "SEARCH", "MULTI", "USE TEMP"))]
        return "; ".join(dict.fromkeys(kept))

    def measured(self, text):
        plan = self.plan(text)
        return [plan, "" if plan.startswith("error") else self.pages(text)[0]]


def lite_load(lite, begin, end):
    note(f"SQLite: rows {begin:,} to {end:,}")
    source = f"(WITH RECURSIVE n (i) AS (SELECT {begin} UNION ALL SELECT i + 1 FROM n WHERE i < {end - 1}) SELECT i FROM n)"
    rows = ROWS.format(trace="randomblob(16)", payload="zeroblob(200)", t0=T0, step=STEP, source=source)
    lite.run(f"BEGIN; INSERT INTO history ({COLUMNS}) {rows}; COMMIT;")


def lite(folder, sizes):
    print(f"\nSQLite {sqlite3.sqlite_version}, page size 4096")
    path = os.path.join(folder, "history.db")
    lite = Sqlite(path)
    lite.run(TABLE.format(int="INTEGER", bytes="BLOB") + ";" + "".join(f"CREATE INDEX history_{name} ON history ({name});" for name in INDEXES))
    shown, had = [], 0
    for number, size in enumerate(sizes):
        lite_load(lite, had, size)
        had = size
        end = T0 + size * STEP
        questions = {
            "newest 50 of service 21 (switched off)": latest(21),
            "newest 50 errors of service 0": errors(0),
            "last hour of service 20": hour_of(20, end),
            "what is running": RUNNING,
        }
        states = ["never taken"] if number == 0 else ["never taken", f"of {sizes[0]:,} rows"]
        if number == len(sizes) - 1:
            states.append("fresh")
        for state in states:
            other = sqlite3.connect(path, isolation_level=None)
            if state == "never taken":
                if number:
                    other.execute("DELETE FROM sqlite_stat1")
            elif state == "fresh":
                other.execute("ANALYZE")
            else:
                other.executemany("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", kept)
            other.close()
            lite.connection.close()
            lite = Sqlite(path)
            for name, text in questions.items():
                shown.append([name, size, state, *lite.measured(text)])
            lite.run("DELETE FROM sqlite_stat1" if number and state != "fresh" else "SELECT 1")
        if number == 0:
            lite.run("ANALYZE")
            kept = lite.connection.execute("SELECT * FROM sqlite_stat1").fetchall()
    shown.sort(key=lambda row: list(questions).index(row[0]))
    table("ADR 11, SQLite: the plan as the table grows", ["question", "rows", "statistics", "plan", "pages"], shown)
    size, end = sizes[-1], T0 + sizes[-1] * STEP
    lite.run("DELETE FROM sqlite_stat1")
    lite.connection.close()
    lite = Sqlite(path)

    forced = []
    for service in (21, 0):
        for by in ("", "INDEXED BY history_service", "INDEXED BY history_started_at"):
            text = latest(service).replace("FROM history", f"FROM history {by}")
            forced.append([f"newest 50 of service {service}", by or "free", *lite.measured(text)])
    lite.run("CREATE INDEX history_2 ON history (service, started_at)")
    for by in ("", "INDEXED BY history_service", "INDEXED BY history_gone"):
        text = latest(0).replace("FROM history", f"FROM history {by}")
        forced.append(["service 0, once (service, started_at) is there", by or "free", *lite.measured(text)])
    text = "SELECT count(*) FROM history INDEXED BY history_2 WHERE interface = 7"
    forced.append(["interface 7, which that index does not hold", "INDEXED BY history_2", *lite.measured(text)])
    lite.run("DROP INDEX history_2")
    table(f"ADR 11, SQLite, {size:,} rows, no statistics: INDEXED BY", ["question", "forced", "plan", "pages"], forced)

    rows = []
    for taken in ("never", "when it held 200 rows", "fresh"):
        small = Sqlite(os.path.join(folder, f"segments-{taken[:4]}.db"))
        small.run(SEGMENTS.format(int="INTEGER", bytes="BLOB", strict=""))
        had = 0
        for count in (200, 200_000):
            source = f"(WITH RECURSIVE s (n) AS (SELECT {had + 1} UNION ALL SELECT n + 1 FROM s WHERE n < {count}) SELECT n FROM s)"
            small.run(f"BEGIN; INSERT INTO segments {SEGMENT_ROWS.format(heads='zeroblob(1500)', source=source)}; COMMIT;")
            had = count
            if taken == "fresh" or (taken.startswith("when") and count == 200):
                small.run("ANALYZE")
                small.connection.close()
                small = Sqlite(small.path)
            for which, walk, top in (("newest", NEWEST_SEGMENTS, count * 200), ("slowest", SLOWEST_SEGMENTS, 20_000)):
                for by in ("", f"INDEXED BY segments_{which}"):
                    text = walk.format(top, 0, 0, count * 400, 8, by=by)
                    rows.append([which, taken, count, by or "free", *small.measured(text)])
    table("ADR 11, SQLite: hoplog's walks of segments, 8 of them", ["walk", "statistics taken", "rows", "INDEXED BY", "plan", "pages"], rows)

    a, b = (end - 13 * HOUR, end - 12 * HOUR), (end - 2 * HOUR, end - HOUR)
    rows = []
    for name, text in forms(a, b).items():
        rows.append([name, lite.pages(SUMS.format(text))[1][0][0], *lite.measured(SUMS.format(text))])
    table(f"ADR 12, SQLite, {size:,} rows: started in A or ended in B, everything", ["form", "rows found", "plan", "pages"], rows)
    rows = []
    for when, windows in (("recent windows", (a, b)), ("old windows", ((T0 + HOUR, T0 + 2 * HOUR), (T0 + 3 * HOUR, T0 + 4 * HOUR)))):
        rows += [[when, name, *lite.measured(text)] for name, text in newest(*windows).items()]
    for name, text in two_windows((T0 + HOUR, T0 + 2 * HOUR), (end - 2 * HOUR, end - 2 * HOUR + 20_000)).items():
        rows.append(["two windows of one column", name, *lite.measured(text)])
    lite.run("DROP INDEX history_ended_at; CREATE INDEX history_service_ended ON history (service, ended_at)")
    for name in list(forms(a, b))[:2]:
        rows.append(["everything, ended_at only second in an index", name, *lite.measured(SUMS.format(forms(a, b)[name]))])
    lite.run("DROP INDEX history_service_ended")
    table(f"ADR 12, SQLite, {size:,} rows: the newest 50", ["windows", "form", "plan", "pages"], rows)

    week, day = window("started_at", end - 7 * DAY, end), window("started_at", end - DAY, end)
    listing = f"SELECT id, payload FROM history WHERE service = 5 AND status = 2 AND {week} ORDER BY started_at DESC LIMIT 50"
    sums = f"SELECT count(*), sum(duration) FROM history WHERE service = 5 AND {day}"
    rows = []

    def used():
        count, free = (lite.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
        return count - free

    for name, comes, goes in (
        ("as it is", "", ""),
        ("(service, status, started_at) more", "(service, status, started_at)", ""),
        ("(service) becomes (service, started_at)", "(service, started_at)", "service"),
        ("(service) becomes (service, started_at, status, duration)", "(service, started_at, status, duration)", "service"),
        ("(status) becomes (service, started_at) WHERE status = 2", "(service, started_at) WHERE status = 2", "status"),
    ):
        before = used()
        lite.run(f"CREATE INDEX x ON history {comes}" if comes else "SELECT 1")
        grown = used() - before
        lite.run(f"DROP INDEX history_{goes}" if goes else "SELECT 1")
        rows.append([name, grown * 4096 >> 20, *lite.measured(listing), *lite.measured(sums)])
        lite.run("DROP INDEX IF EXISTS x;" + (f"CREATE INDEX history_{goes} ON history ({goes})" if goes else ""))
    table(f"ADR 13, SQLite, {size:,} rows", ["way", "new MiB", "newest 50 errors: plan", "pages", "sums of a day: plan", "pages"], rows)
    lite.connection.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="connection URL of PostgreSQL, or the word sqlite")
    parser.add_argument("--psql", default="psql")
    parser.add_argument("--rows", default="100000,1000000,5000000")
    parser.add_argument("--folder", help="where the SQLite file lies; a temporary one by default")
    parser.add_argument("--only", choices=["postgres", "sqlite"])
    arguments = parser.parse_args()
    sizes = [int(rows) for rows in arguments.rows.split(",")]
    if arguments.target != "sqlite" and arguments.only != "sqlite":
        postgres(arguments, sizes)
    if arguments.target == "sqlite" or arguments.only != "postgres":
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            lite(folder, sizes)


if __name__ == "__main__":
    main()

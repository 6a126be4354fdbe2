"""Tables, indexes, conditions and pages of the SQLite adapter, as SQL. Knows no thread and no file.

A field's index is on `json_extract`, so it needs no migration. A list's index is a table of (word, value of the field
it is read by, id), kept by triggers, in the same commit as the document. A page of a search is found in one of three
ways, by how often its rarest word occurs: its documents are fetched and sorted (rare), its entries are read in the
order of the page (frequent, and read by that field), or the documents are read in that order and compared (the rest).
A prefix of many words counts as one word whose entries have to be sorted. A page of documents with one of some values,
in the order that the values' index has beside them, is merged out of one page of each value: SQLite itself would sort
all of them, and knows nothing of which value is rare.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mesh.store_values import Among, Condition, Indexes, ListIndex, PairIndex, Range, Value, Words, end_of_prefix

# Up to so many documents are fetched and sorted, some 20 ms; of a prefix so many entries.
_FEW = 2000
_MANY = 50_000
_PREFIX_WORDS = 64
_MOST_MERGED = 64
# Sorts before every value of JSON, as null does; a primary key has no null.
_NOTHING = "-9e999"


def extract(path: str, table: str = "") -> str:
    """The value of a field."""
    return f"json_extract({table}body, '$.{path}')"


def entries_of(name: str, index: ListIndex) -> str:
    """The quoted name of the table of a list's words."""
    return f'"{name} holds {index.field} by {index.by}"' if index.by else f'"{name} holds {index.field}"'


def pair_index(name: str, pair: PairIndex) -> str:
    """The quoted name of the index of a pair."""
    return f'"{name} by {pair.field} by {pair.by}"'


def make_collection(connection: sqlite3.Connection, name: str, indexes: Indexes) -> None:
    """Makes table and indexes where they are missing."""
    connection.execute(
        f'CREATE TABLE IF NOT EXISTS "{name}" '
        "(id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) STRICT"
    )
    for one in indexes.single_fields:
        connection.execute(f'CREATE INDEX IF NOT EXISTS "{name} by {one}" ON "{name}" ({extract(one)}, id)')
    for pair in sorted(indexes.pairs, key=lambda pair: (pair.field, pair.by)):
        columns = f"{extract(pair.field)}, {extract(pair.by)}, id"
        connection.execute(f'CREATE INDEX IF NOT EXISTS {pair_index(name, pair)} ON "{name}" ({columns})')
    for index in sorted(indexes.lists, key=lambda index: (index.field, index.by)):
        _make_entries(connection, name, index)


def _make_entries(connection: sqlite3.Connection, name: str, index: ListIndex) -> None:
    entries = entries_of(name, index)
    title = entries.strip('"')
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", (title,)).fetchone():
        return
    connection.execute(
        f"CREATE TABLE {entries} (word TEXT NOT NULL, place ANY NOT NULL, id TEXT NOT NULL, "
        "PRIMARY KEY (word, place, id)) STRICT, WITHOUT ROWID"
    )

    def rows(row: str, id_of: str, table: str = "") -> str:
        return (
            f"SELECT DISTINCT one.value, {_place(index, row)}, {id_of} "
            f"FROM {table}json_each({row}body, '$.{index.field}') AS one "
            f"WHERE one.type = 'text' AND json_type({row}body, '$.{index.field}') = 'array'"
        )

    put = f"INSERT INTO {entries} {rows('new.', 'new.id')};"
    take = (
        f"DELETE FROM {entries} WHERE id = old.id AND place = {_place(index, 'old.')} "
        f"AND word IN (SELECT one.value FROM json_each(old.body, '$.{index.field}') AS one);"
    )
    changed = " OR ".join(
        f"{extract(one, 'old.')} IS NOT {extract(one, 'new.')}" for one in (index.field, index.by) if one
    )
    on = f'ON "{name}"'
    for when, body in (
        (f"AFTER INSERT {on}", put),
        (f"AFTER UPDATE OF body {on} WHEN {changed}", take + put),
        (f"AFTER DELETE {on}", take),
    ):
        connection.execute(f'CREATE TRIGGER "{title} {when.split()[1].lower()}" {when} BEGIN {body} END')
    all_of_them = f'"{name}" AS t, '
    connection.execute(f"INSERT INTO {entries} {rows('t.', 't.id', all_of_them)}")


def _place(index: ListIndex, row: str) -> str:
    return f"coalesce({extract(index.by, row)}, {_NOTHING})" if index.by else "0"


@dataclass(frozen=True, slots=True)
class _Group:
    """One word, or the words of one prefix, of which a document has to hold one; None: too many to be named."""

    index: ListIndex
    words: tuple[str, ...] | None
    prefix: str = ""


@dataclass(slots=True)
class _Sql:
    """Conditions joined by AND, with their parameters."""

    conditions: list[str] = field(default_factory=list)
    parameters: list[Value] = field(default_factory=list)

    def add(self, condition: str, parameters: Iterable[Value] = ()) -> None:
        self.conditions.append(condition)
        self.parameters += parameters

    def text(self) -> str:
        return " AND ".join(self.conditions) or "1"


@dataclass(frozen=True, slots=True)
class Order:
    """Of a page: by which field ("" for ids), in which direction, and after which value and id."""

    by: str = ""
    descending: bool = False
    after: tuple[Value, str] | None = None


def find_page(
    connection: sqlite3.Connection,
    name: str,
    conditions: Sequence[Condition],
    order: Order,
    limit: int,
    pairs: frozenset[PairIndex] = frozenset(),
) -> list[Any]:
    """At most `limit` rows of (id, version, body, value of the order's field)."""
    groups = _groups(connection, name, conditions)
    direction = "DESC" if order.descending else "ASC"
    value = extract(order.by, "t.") if order.by else "NULL"
    columns = f"t.id, t.version, t.body, {value}"
    sorting = f"ORDER BY {f'{value} {direction}, ' if order.by else ''}t.id {direction} LIMIT ?"
    driver, count = _rarest(connection, name, groups)
    if driver is not None and count >= _FEW:
        is_read_so = bool(order.by) and driver.index.by == order.by
        if is_read_so and (driver.words is not None or count < _MANY):
            source, parameters = _in_order(name, conditions, groups, driver, order, limit)
            sql = f'SELECT {columns} FROM ({source}) AS w CROSS JOIN "{name}" AS t ON t.id = w.id {sorting}'
            return connection.execute(sql, (*parameters, limit)).fetchall()
        driver = None
    if driver is None and (among := _rarest_values(connection, name, conditions, order, pairs)) is not None:
        merged, parameters = _merged(name, conditions, groups, among, order, limit)
        sql = f'SELECT {columns} FROM ({merged}) AS w CROSS JOIN "{name}" AS t ON t.id = w.id {sorting}'
        return connection.execute(sql, (*parameters, limit)).fetchall()
    where = _plain(conditions)
    if order.after is not None:
        where.add(*_after(order, value))
    source, leading = _source(name, where, groups, driver)
    sql = f"SELECT {columns} FROM {source} WHERE {where.text()} {sorting}"
    return connection.execute(sql, (*leading, *where.parameters, limit)).fetchall()


def count_documents(connection: sqlite3.Connection, name: str, conditions: Sequence[Condition]) -> int:
    """Number of documents that meet all conditions."""
    groups = _groups(connection, name, conditions)
    where = _plain(conditions)
    driver, _ = _rarest(connection, name, groups)
    needs_document = bool(where.conditions) or any(one.words is None for one in groups if one is not driver)
    source, leading = _source(name, where, groups, driver, needs_document=needs_document)
    sql = f"SELECT count(*) FROM {source} WHERE {where.text()}"
    return int(connection.execute(sql, (*leading, *where.parameters)).fetchone()[0])


def _source(
    name: str, where: _Sql, groups: Sequence[_Group], driver: _Group | None, *, needs_document: bool = True
) -> tuple[str, list[Value]]:
    """Where rows are taken from: all documents, or those of the driver's entries; the other groups go into `where`."""
    if driver is None:
        for group in groups:
            _add_groups(where, name, [group], _place(group.index, "t."), "t.id")
        return f'"{name}" AS t', []
    for group in groups:
        if group is not driver:
            # Two lists of one collection may be read by different fields.
            is_alike = group.index.by == driver.index.by
            _add_groups(where, name, [group], "w.place" if is_alike else _place(group.index, "t."), "w.id")
            needs_document = needs_document or not is_alike
    condition, words = _word_of(driver)
    source = f"(SELECT DISTINCT place, id FROM {entries_of(name, driver.index)} AS w WHERE {condition}) AS w"
    # CROSS JOIN: SQLite keeps this order of the two.
    return f'{source} CROSS JOIN "{name}" AS t ON t.id = w.id' if needs_document else source, words


def _word_of(group: _Group) -> tuple[str, list[Value]]:
    if group.words is None:
        return "w.word >= ? AND w.word < ?", [group.prefix, end_of_prefix(group.prefix)]
    return f"w.word IN ({', '.join('?' * len(group.words))})", list(group.words)


def _in_order(
    name: str, conditions: Sequence[Condition], groups: Sequence[_Group], driver: _Group, order: Order, limit: int
) -> tuple[str, list[Value]]:
    """The ids of a page out of the entries of the driver's words, each read in the order of the page."""
    where = _Sql()
    if order.after is not None:
        last = order.after[0]
        sign = "<" if order.descending else ">"
        where.add(
            f"(w.place, w.id) {sign} ({_NOTHING if last is None else '?'}, ?)",
            [order.after[1]] if last is None else [*order.after],
        )
    for condition in conditions:
        if isinstance(condition, Range) and condition.field == order.by:
            # Not instead of the condition on the document, but so that reading begins at the right place.
            for sign, bound in ((">=", condition.low), ("<=", condition.high)):
                if bound is not None:
                    where.add(f"w.place {sign} ?", [bound])
    others = [one for one in groups if one is not driver]
    for group in others:
        place = "w.place" if group.index.by == driver.index.by else _place(group.index, "t.")
        _add_groups(where, name, [group], place, "w.id")
    plain = _plain(conditions)
    needs_document = plain.conditions or any(one.words is None or one.index.by != driver.index.by for one in others)
    join = f' CROSS JOIN "{name}" AS t ON t.id = w.id' if needs_document else ""
    direction = "DESC" if order.descending else "ASC"
    branches: list[str] = []
    parameters: list[Value] = []
    # A word's entries are in order, and each document is there once; those of a prefix are neither.
    distinct = "DISTINCT " if driver.words is None else ""
    parts = [driver] if driver.words is None else [_Group(driver.index, (word,)) for word in driver.words]
    for part in parts:
        wanted, words = _word_of(part)
        branches.append(
            f"SELECT * FROM (SELECT {distinct}w.place, w.id FROM {entries_of(name, driver.index)} AS w{join} "
            f"WHERE {wanted} AND {where.text()} AND {plain.text()} "
            f"ORDER BY w.place {direction}, w.id {direction} LIMIT ?)"
        )
        parameters += [*words, *where.parameters, *plain.parameters, limit]
    return " UNION ".join(branches), parameters


def _rarest_values(
    connection: sqlite3.Connection,
    name: str,
    conditions: Sequence[Condition],
    order: Order,
    pairs: frozenset[PairIndex],
) -> Among | None:
    """The condition on values, of those with an index in the order of the page, that the fewest documents meet."""
    found = [
        one
        for one in conditions
        if isinstance(one, Among)
        and not one.or_missing
        and 0 < len(one.values) <= _MOST_MERGED
        and PairIndex(one.field, order.by) in pairs
    ]
    if len(found) < 2:
        return found[0] if found else None

    def count(one: Among) -> int:
        where = _plain([one])
        sql = f'SELECT count(*) FROM (SELECT 1 FROM "{name}" AS t WHERE {where.text()} LIMIT {_MANY})'
        return int(connection.execute(sql, where.parameters).fetchone()[0])

    return min(found, key=count)


def _merged(
    name: str,
    conditions: Sequence[Condition],
    groups: Sequence[_Group],
    among: Among,
    order: Order,
    limit: int,
) -> tuple[str, list[Value]]:
    """The ids of a page out of one page of each value, each read in order."""
    value, direction = extract(order.by, "t."), "DESC" if order.descending else "ASC"
    where = _plain([one for one in conditions if one is not among])
    if order.after is not None:
        where.add(*_after(order, value))
    for group in groups:
        _add_groups(where, name, [group], _place(group.index, "t."), "t.id")
    index = pair_index(name, PairIndex(among.field, order.by))
    sorting = f"ORDER BY place {direction}, id {direction} LIMIT ?"
    branches: list[str] = []
    parameters: list[Value] = []
    for one in dict.fromkeys(among.values):
        branches.append(
            f'SELECT * FROM (SELECT {value} AS place, t.id AS id FROM "{name}" AS t INDEXED BY {index} '
            f"WHERE {extract(among.field, 't.')} = ? AND {where.text()} "
            f"ORDER BY {value} {direction}, t.id {direction} LIMIT ?)"
        )
        parameters += [one, *where.parameters, limit]
    return f"SELECT id FROM ({' UNION ALL '.join(branches)}) {sorting}", [*parameters, limit]


def _plain(conditions: Sequence[Condition]) -> _Sql:
    result = _Sql()
    for condition in conditions:
        if isinstance(condition, Words):
            continue
        value = extract(condition.field, "t.")
        if isinstance(condition, Among):
            _add_among(result, condition, value)
        else:
            _add_range(result, condition, value)
    return result


def _add_among(result: _Sql, condition: Among, value: str) -> None:
    # With "IS ?" SQLite would sort although the index has the order.
    among = f"{value} = ?" if len(condition.values) == 1 else f"{value} IN ({', '.join('?' * len(condition.values))})"
    if condition.or_missing:
        among = f"({among} OR {value} IS NULL)" if condition.values else f"{value} IS NULL"
    result.add(among, condition.values)


def _add_range(result: _Sql, condition: Range, value: str) -> None:
    low, high = condition.low, condition.high
    if low is not None and high is not None and isinstance(low, str) is not isinstance(high, str):
        result.add("0")
        return
    if low is not None:
        result.add(f"{value} >= ?", [low])
    if high is not None:
        result.add(f"{value} <= ?", [high])
    # Texts sort after numbers: a side that is open ends where the other kind begins.
    if high is None and low is not None and not isinstance(low, str):
        result.add(f"{value} < ''")
    if low is None and isinstance(high, str):
        result.add(f"{value} >= ''")


def _after(order: Order, value: str) -> tuple[str, list[Value]]:
    """Condition for what follows a position. SQLite sorts NULL before everything."""
    assert order.after is not None
    last, document_id = order.after
    sign = "<" if order.descending else ">"
    if not order.by:
        return f"t.id {sign} ?", [document_id]
    if last is None:
        same = f"({value} IS NULL AND t.id {sign} ?)"
        return (same if order.descending else f"({same} OR {value} IS NOT NULL)"), [document_id]
    beyond = f"{value} {sign} ? OR ({value} = ? AND t.id {sign} ?)"
    return f"({beyond} OR {value} IS NULL)" if order.descending else f"({beyond})", [last, last, document_id]


def _groups(connection: sqlite3.Connection, name: str, conditions: Sequence[Condition]) -> list[_Group]:
    found: list[_Group] = []
    for condition in conditions:
        if isinstance(condition, Words):
            found += [_Group(condition.index, (word,)) for word in condition.words]
            found += [
                _Group(condition.index, _words_with(connection, name, condition.index, prefix), prefix)
                for prefix in condition.prefixes
            ]
    return found


def _words_with(connection: sqlite3.Connection, name: str, index: ListIndex, prefix: str) -> tuple[str, ...] | None:
    words: list[str] = []
    sql = f"SELECT min(word) FROM {entries_of(name, index)} WHERE word {{}} ? AND word < ?"
    row = connection.execute(sql.format(">="), (prefix, end_of_prefix(prefix))).fetchone()
    while row[0] is not None:
        words.append(row[0])
        if len(words) > _PREFIX_WORDS:
            return None
        row = connection.execute(sql.format(">"), (row[0], end_of_prefix(prefix))).fetchone()
    return tuple(words)


def _rarest(connection: sqlite3.Connection, name: str, groups: Sequence[_Group]) -> tuple[_Group | None, int]:
    """The group with the fewest entries, and how many: counted up to what is few, of a prefix to what is many."""
    best: tuple[_Group | None, int] = (None, 0)
    for group in groups:
        condition, words = _word_of(group)
        most = _FEW if group.words is not None else _MANY
        sql = (
            f"SELECT count(*) FROM (SELECT 1 FROM {entries_of(name, group.index)} AS w WHERE {condition} LIMIT {most})"
        )
        count = int(connection.execute(sql, words).fetchone()[0])
        if best[0] is None or count < best[1]:
            best = group, count
    return best


def _add_groups(result: _Sql, name: str, groups: Iterable[_Group], place: str, document_id: str) -> None:
    for group in groups:
        if group.words is None:
            path = f"'$.{group.index.field}'"
            result.add(
                f"json_type(t.body, {path}) = 'array' AND EXISTS (SELECT 1 FROM json_each(t.body, {path}) AS one "
                "WHERE one.type = 'text' AND one.value >= ? AND one.value < ?)",
                [group.prefix, end_of_prefix(group.prefix)],
            )
        else:
            marks = ", ".join("?" * len(group.words))
            result.add(
                f"EXISTS (SELECT 1 FROM {entries_of(name, group.index)} AS x WHERE x.word IN ({marks}) "
                f"AND x.place = {place} AND x.id = {document_id})",
                group.words,
            )

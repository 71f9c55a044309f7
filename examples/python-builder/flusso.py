"""Document builders for flusso-host: one async function a document. The builds of a batch run side by side; what they all wait for
crosses to the host in one read. `from flusso import *`; app.py beside this file shows all of it."""

import json
from decimal import Decimal
from types import SimpleNamespace

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import tracked_builder
from wit_world.imports import tracked_reader, types

__all__ = ["Failed", "Plugin", "Table", "TrackedBuilder", "index", "plugin", "settings"]

settings = {}  # the builder's part of the configuration
_about, _indexes = {}, []


class Failed(Exception):
    """Why a document cannot be built, with a short class to count by; any other exception counts as class `build`."""

    def __init__(self, kind, reason):
        super().__init__(reason)
        self.kind = kind


class Uuid(str): pass
class Date(str): pass
class Time(str): pass
class Timestamp(str): pass


# Kinds of values: as the host names them, what makes ours of one, what makes one of ours.
_kinds = {
    types.Value_Boolean: (bool, bool), types.Value_Integer: (int, int), types.Value_Float: (float, float),
    types.Value_Decimal: (Decimal, str), types.Value_Text: (str, str), types.Value_Bytes: (bytes, bytes), types.Value_Uuid: (Uuid, str),
    types.Value_Date: (Date, str), types.Value_Time: (Time, str), types.Value_Timestamp: (Timestamp, str), types.Value_Json: (json.loads, json.dumps),
}
_of_type = {make: (kind, back) for kind, (make, back) in _kinds.items()}


def _ours(value):
    return None if isinstance(value, types.Value_Null) else _kinds[type(value)][0](value.value)


def _theirs(value):
    if value is None:
        return types.Value_Null()
    kind, back = _of_type.get(type(value), _of_type[json.loads])
    return kind(back(value))


class Table:
    """A table and the columns of it that are read: Table("public.orders", "id", "customer_id")."""

    def __init__(self, name, *columns):
        schema, _, name = name.rpartition(".")
        self.name, self.columns = types.TableName(schema or "public", name), list(columns)

    def by(self, *columns):
        """For `reads=` of an index: lookups by these columns together; by none: reads of the whole table."""
        return self, list(columns)

    def _row(self, values):
        return SimpleNamespace(**dict(zip(self.columns, map(_ours, values))))


class _Read:
    def __init__(self, document, table, by, where, order, limit, first):
        filters = [types.Filter_Condition(types.Condition(column, types.Comparison[how.upper()], [_theirs(it) for it in operands]))
                   for column, how, *operands in where]
        orders = [types.Ordering(column.lstrip("-"), column.startswith("-")) for column in order]
        self.lookup = tracked_reader.Lookup(document, [_theirs(value) for value in by.values()])
        self.kind = (table.name, table.columns, list(by), filters, orders, limit)
        self.table, self.first = table, first

    def __await__(self):
        (rows,) = yield [self]
        rows = [self.table._row(row) for row in rows]
        return (rows[0] if rows else None) if self.first else rows


class Reads:
    """What a build reads with; `await` what these return."""

    def __init__(self, document):
        self.document = document

    def by(self, table, *, where=(), order=(), limit=None, **by):
        """Rows by columns: db.by(items, order_id=1, order=["product", "-id"], where=[("quantity", "gt", 3)], limit=10)."""
        return _Read(self.document, table, by, where, order, limit, False)

    def one(self, table, **by):
        """The first row, or None."""
        return _Read(self.document, table, by, (), (), 1, True)

    async def together(self, *awaitables):
        """Waits for several; what they read crosses together."""
        return await _Together(awaitables)


class _Together:
    def __init__(self, awaitables, failed=None):
        self.tasks, self.failed = [awaitable.__await__() for awaitable in awaitables], failed

    def __await__(self):
        results, waiting = [None] * len(self.tasks), {}
        answers = {at: None for at in range(len(self.tasks))}
        while answers:
            for at, answer in answers.items():
                try:
                    waiting[at] = self.tasks[at].send(answer)
                except StopIteration as ended:
                    results[at] = ended.value
                except Exception as error:
                    if self.failed is None or isinstance(error, Err):
                        raise
                    results[at] = self.failed(error)
            if not waiting:
                return results
            rows = iter((yield [read for reads in waiting.values() for read in reads]))
            answers = {at: [next(rows) for _ in reads] for at, reads in waiting.items()}
            waiting = {}
        return results


def _cross(reads):
    kinds = {}
    for place, read in enumerate(reads):
        kind, places = kinds.setdefault(repr(read.kind), (read.kind, []))
        places.append(place)
    asked = [tracked_reader.Lookups(*kind, [reads[place].lookup for place in places], None) for kind, places in kinds.values()]
    rows = [None] * len(reads)
    for (_, places), found in zip(kinds.values(), tracked_reader.read(asked)):
        for place, some in zip(places, found):
            rows[place] = some
    return rows


def index(name, *, root, fields, reads=(), version=1):
    """The builder of an index. `fields`: path → type of the schema language, with `?` where null may be and `[]` for a list."""
    def take(build):
        _indexes.append(SimpleNamespace(name=name, root=root, fields=fields, reads=list(reads), version=version, build=build))
        return build
    return take


def plugin(name, version, description="", settings=None):
    """What the plugin is called, and the JSON Schema of its settings."""
    _about.update(name=name, version=version, description=description, contract="0.2.0", roles=["tracked-builder"],
                  settings=settings or {"type": "object", "additionalProperties": False})


def _body(value):
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(key))}:{_body(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_body, value)) + "]"
    return format(value, "f") if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False, allow_nan=False)


def _outcome(document):
    return types.Outcome_Absent() if document is None else types.Outcome_Built(_body(document).encode())


class Plugin(exports.Plugin):
    def manifest(self):
        return json.dumps(_about)


class TrackedBuilder(exports.TrackedBuilder):
    def open(self, text):
        settings.update(json.loads(text))

    def indexes(self):
        offered = []
        for one in _indexes:
            fields = [types.Field(path, kind.rstrip("?[]"), "?" in kind, "[]" in kind, "{}", None, None, None) for path, kind in one.fields.items()]
            tables = {}
            for table, by in one.reads:
                tables.setdefault(repr(table.name), tracked_builder.TableRead(table.name, table.columns, [], None)).by.append(by)
            number = 0xCBF29CE484222325
            for byte in repr((one.version, one.fields, one.root.columns, [(table.name, table.columns, by) for table, by in one.reads])).encode():
                number = (number ^ byte) * 0x100000001B3 % (1 << 64)
            mapping = types.Mapping(one.name, f"{number:016x}", fields, "", None)
            offered.append(tracked_builder.OfferedIndex(mapping, one.root.name, one.root.columns, list(tables.values()), None))
        return offered

    def build_many(self, index, roots):
        one = _indexes[index]
        failed = lambda error: types.Outcome_Failed(types.Failure(getattr(error, "kind", "build"), str(error) or repr(error), None))

        async def build(document, root):
            return _outcome(await one.build(one.root._row(root), Reads(document)))

        run = _Together([build(document, root) for document, root in enumerate(roots)], failed).__await__()
        answers = None
        try:
            while True:
                answers = _cross(run.send(answers))
        except StopIteration as ended:
            return ended.value

"""An INSERT that is one and the same statement for any number of rows: PostgreSQL's unnest of a list for each column.

With the rows as VALUES it is another statement for each number of them, which SQLAlchemy compiles, asyncpg prepares and
PostgreSQL plans anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ARRAY, String, Table, Text, bindparam, func, select, sql
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.types import TypeEngine

from services.registration_service.models import Base


def bulk_insert(model: type[Base], *columns: str) -> Insert:
    """Executed with what `in_lists` makes of the rows."""
    table = cast("Table", model.__table__)
    types = {name: _whole(table.c[name].type) for name in columns}
    rows = (
        func.unnest(*(bindparam(_list(name), type_=ARRAY(kind)) for name, kind in types.items()))
        .table_valued(*(sql.column(name, kind) for name, kind in types.items()))
        .render_derived(name="rows")
    )
    return insert(table).from_select(list(types), select(*rows.c))


def in_lists(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The values of each column; all rows have the same."""
    return {_list(name): [row[name] for row in rows] for name in rows[0]}


def _whole(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Cast to the column's own length, a text that is too long would be cut without a word."""
    return Text() if isinstance(kind, String) else kind


def _list(name: str) -> str:
    return f"all_{name}"

"""clickhouse-sqlalchemy's HTTP dialect against the engine: prints what it saw as one JSON object; the test judges it."""

import json
import sys

from clickhouse_sqlalchemy import Table, engines, make_session, types
from clickhouse_sqlalchemy.exceptions import DatabaseException
from sqlalchemy import Column, MetaData, create_engine, func, inspect, select, text

HOST, PORT, USER, PASSWORD = sys.argv[1:]
STREAMED = 2_000_000  # the dialect holds every row in its own memory


def connect(user=USER, password=PASSWORD, **options):
    return create_engine(f"clickhouse+http://{user}:{password}@{HOST}:{PORT}/default", **options)


def refusal(engine, statement):
    """What the dialect's exception says, or None where nothing was refused."""
    try:
        with engine.connect() as connection:
            connection.execute(text(statement)).fetchall()
    except DatabaseException as error:
        return str(error)
    return None


engine = connect()
metadata = MetaData()
table = Table(
    "dialect",
    metadata,
    Column("a", types.UInt64, primary_key=True),
    Column("b", types.String),
    Column("c", types.Nullable(types.Float64)),
    Column("d", types.Array(types.Int32)),
    engines.MergeTree(order_by=("a",)),
)
table.create(engine)
rows = [{"a": 1, "b": "it's\ta\\", "c": None, "d": [1, -2]}, {"a": 2, "b": "ü", "c": 0.5, "d": []}]
facts = {}
with engine.connect() as connection:
    connection.execute(table.insert(), rows)
    back = connection.execute(select(table).order_by(table.c.a)).mappings().fetchall()
    # The dialect gives arrays as the text of the format.
    facts["same"] = [dict(row) for row in back] == [{**row, "d": str(row["d"]).replace(" ", "")} for row in rows]
    facts["version"] = connection.execute(text("SELECT version()")).scalar()
    facts["count"] = connection.execute(select(func.count()).select_from(table)).scalar()
facts["tables"] = "dialect" in inspect(engine).get_table_names()

with connect(connect_args={"ch_settings": {"session_id": "dialect"}}).connect() as connection:
    connection.execute(text("SET max_block_size = 77"))
    facts["setting"] = connection.execute(text("SELECT getSetting('max_block_size')")).scalar()
    connection.execute(text("CREATE TEMPORARY TABLE mine (a UInt64)"))
    connection.execute(text("INSERT INTO mine SELECT number FROM numbers(3)"))
    facts["temporary"] = connection.execute(text("SELECT sum(a) FROM mine")).scalar()
facts["elsewhere"] = refusal(engine, "SELECT * FROM mine")
facts["unknown"] = refusal(engine, "SELECT * FROM nowhere")
facts["read"] = refusal(connect("default", ""), "SELECT count() FROM dialect")
facts["refused"] = refusal(connect("default", ""), "DROP TABLE dialect")

with engine.connect() as connection:
    numbers = connection.execute(text(f"SELECT number FROM numbers({STREAMED})")).scalars().all()
facts["stream"] = {"count": len(numbers), "sum": sum(numbers)}
print(json.dumps(facts))

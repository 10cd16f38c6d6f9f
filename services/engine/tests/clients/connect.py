"""clickhouse-connect against the engine: prints what it saw as one JSON object; the test judges it."""

import datetime
import decimal
import json
import resource
import sys
import threading
import time

import clickhouse_connect
import clickhouse_connect.common
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData

HOST, PORT, USER, PASSWORD = sys.argv[1:]
STREAMED = 10_000_000
UTC = datetime.timezone.utc


def connect(**options):
    options = {"username": USER, "password": PASSWORD, **options}
    return clickhouse_connect.get_client(host=HOST, port=int(PORT), **options)


def refusal(action):
    """What the client's exception says, or None where nothing was refused."""
    try:
        action()
    except ClickHouseError as error:
        return str(error)
    return None


def typed(client, table):
    """Rows in, the same rows out."""
    client.command(
        f"CREATE TABLE {table} (a UInt64, b LowCardinality(String), c Decimal(38, 18), d DateTime64(3, 'UTC'),"
        " e Nullable(Float64), f Array(Tuple(Int64, String)), g Bool) ENGINE = MergeTree ORDER BY a"
    )
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    rows = [
        (0, "a'\\\t", decimal.Decimal("-12345678901234567890.123456789012345678"), moment, None, [], True),
        (2**64 - 1, "ü", decimal.Decimal("0.000000000000000001"), moment, 0.1, [(-1, "x"), (2, "")], False),
    ]
    summary = client.insert(table, rows, column_names=list("abcdefg"))
    back = client.query(f"SELECT * FROM {table} ORDER BY a", query_tz="UTC").result_rows
    back = [tuple(v.replace(tzinfo=UTC) if isinstance(v, datetime.datetime) else v for v in row) for row in back]
    return {"same": back == rows, "written": summary.written_rows}


def stream(client):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = total = 0
    statement = f"SELECT number, concat('row ', toString(number), repeat('x', 20)) FROM numbers({STREAMED})"
    with client.query_column_block_stream(statement) as blocks:
        for numbers, texts in blocks:
            assert len(texts) == len(numbers)
            count += len(numbers)
            total += sum(numbers)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"count": count, "sum": total, "client_grew_kib": grown}


def killed(client):
    other = connect()
    found = []
    statement = "SELECT sum(sleepEachRow(0.01)) FROM numbers(10000)"
    settings = {"query_id": "connect-slow", "max_block_size": 10}
    thread = threading.Thread(target=lambda: found.append(refusal(lambda: other.query(statement, settings=settings))))
    thread.start()
    kill = "KILL QUERY WHERE query_id = 'connect-slow' SYNC"
    while thread.is_alive() and "finished" not in str(client.command(kill)):
        time.sleep(0.02)  # it has not begun yet
    thread.join()
    return found[0]


facts = {"encodings": {}}
writer = connect()
for encoding in ["lz4", "zstd", "gzip", False]:
    client = connect(compress=encoding)
    facts["encodings"][str(encoding)] = typed(client, f"typed_{encoding}")
facts["version"] = writer.command("SELECT version()")
facts["setting"] = writer.query("SELECT getSetting('max_block_size')", settings={"max_block_size": 77}).result_rows
facts["bound"] = writer.query("SELECT {x:String}, {n:Int32}", parameters={"x": "it's\ta\\", "n": -5}).result_rows
form = connect(form_encode_query_params=True)
facts["form"] = form.query("SELECT {x:String}", parameters={"x": "y" * 10_000}).result_rows[0][0] == "y" * 10_000
facts["summary"] = writer.query("SELECT number FROM numbers(1000)").summary["read_rows"]

session = connect(session_id="connect")
session.command("CREATE TEMPORARY TABLE mine (a UInt64)")
session.insert("mine", [[1], [2]], column_names=["a"])
facts["temporary"] = session.query("SELECT sum(a) FROM mine").result_rows
facts["elsewhere"] = refusal(lambda: writer.query("SELECT * FROM mine"))

facts["unknown"] = refusal(lambda: writer.query("SELECT * FROM nowhere"))
facts["syntax"] = refusal(lambda: writer.command("SELEC 1"))
facts["late"] = refusal(lambda: writer.query("SELECT number, throwIf(number = 3000000) FROM numbers(10000000)"))
facts["wrong"] = refusal(lambda: connect(password="wrong"))
files = ExternalData(file_name="t.csv", data=b"1\n", fmt="CSV", structure="a UInt8")
facts["external"] = refusal(lambda: writer.query("SELECT * FROM t", external_data=files))
facts["killed"] = killed(writer)

reader = clickhouse_connect.get_client(host=HOST, port=int(PORT))
facts["read"] = reader.query("SELECT count() FROM typed_lz4").result_rows
facts["refused"] = refusal(lambda: reader.insert("typed_lz4", [[1]], column_names=["a"]))
# It believes that a read-only user changes no setting at all, unless it is told otherwise.
clickhouse_connect.common.set_setting("invalid_setting_action", "send")
facts["reader_setting"] = reader.query(
    "SELECT getSetting('max_block_size')", settings={"max_block_size": 78}
).result_rows
facts["stream"] = stream(connect())
print(json.dumps(facts, default=str))

// @clickhouse/client against the engine: prints what it saw as one JSON object; the test judges it.

import { createRequire } from "node:module";

const [modules, url, username, password] = process.argv.slice(2);
const { createClient, ClickHouseError, ClickHouseLogLevel } = createRequire(`${modules}/`)("@clickhouse/client");
const STREAMED = 10_000_000;

const quiet = { request_timeout: 300_000, log: { level: ClickHouseLogLevel.OFF } };
const connect = (options = {}) => createClient({ url, username, password, ...quiet, ...options });
const rows = async (client, query, options = {}) =>
  (await client.query({ query, format: "JSONEachRow", ...options })).json();

/** What the client's exception says, or null where nothing was refused. */
async function refusal(action) {
  try {
    await action();
  } catch (error) {
    return { code: error.code ?? null, type: error.type ?? null, text: String(error.message), own: error instanceof ClickHouseError };
  }
  return null;
}

const facts = { compressed: {} };
const writer = connect();
for (const on of [true, false]) {
  const client = connect({ compression: { request: on, response: on } });
  const table = `node_${on}`;
  await client.command({
    query: `CREATE TABLE ${table} (a UInt64, b String, c Decimal(38, 18), d Nullable(Float64), e Array(String)) ENGINE = MergeTree ORDER BY a`,
  });
  const values = [
    { a: "18446744073709551615", b: "it's\ta\\ü", c: "-12345678901234567890.123456789012345678", d: null, e: ["x", ""] },
    { a: "1", b: "", c: "0.000000000000000001", d: 0.1, e: [] },
  ];
  const done = await client.insert({ table, values, format: "JSONEachRow" });
  const settings = { output_format_json_quote_64bit_integers: 1, output_format_json_quote_decimals: 1 };
  const back = await rows(client, `SELECT * FROM ${table} ORDER BY a DESC`, { clickhouse_settings: settings });
  facts.compressed[on] = { same: JSON.stringify(back) === JSON.stringify(values), written: done.summary?.written_rows };
  await client.close();
}
facts.ping = (await writer.ping()).success;
facts.setting = await rows(writer, "SELECT toString(getSetting('max_block_size')) AS value", { clickhouse_settings: { max_block_size: "77" } });
facts.bound = await rows(writer, "SELECT {x: String} AS x, {n: Int32} AS n", { query_params: { x: "it's\ta\\", n: -5 } });
const named = await writer.query({ query: "SELECT 1", query_id: "node-1", format: "JSON" });
facts.query_id = named.query_id;
facts.statistics = (await named.json()).rows;

const session = connect({ session_id: "node" });
await session.command({ query: "CREATE TEMPORARY TABLE mine (a UInt64)" });
await session.insert({ table: "mine", values: [{ a: 1 }, { a: 2 }], format: "JSONEachRow" });
facts.temporary = await rows(session, "SELECT toUInt32(sum(a)) AS sum FROM mine");
facts.elsewhere = await refusal(() => rows(writer, "SELECT * FROM mine"));
await session.close();

facts.unknown = await refusal(() => rows(writer, "SELECT * FROM nowhere"));
facts.late = await refusal(() => rows(writer, "SELECT number, throwIf(number = 3000000) FROM numbers(10000000)"));
facts.wrong = await refusal(() => rows(connect({ password: "wrong" }), "SELECT 1"));

const slow = "SELECT sum(sleepEachRow(0.01)) FROM numbers(10000)";
const small = { clickhouse_settings: { max_block_size: "10" } };
const killed = refusal(() => rows(connect(), slow, { query_id: "node-slow", ...small }));
for (let found = []; found.length === 0; ) {
  found = await rows(writer, "KILL QUERY WHERE query_id = 'node-slow' SYNC");
}
facts.killed = await killed;
const abort = new AbortController();
const aborted = refusal(() => rows(connect(), slow, { abort_signal: abort.signal, ...small }));
const running = "SELECT count() AS n FROM system.processes WHERE position(query, 'sleepEachRow') > 0 AND position(query, 'processes') = 0";
while (Number((await rows(writer, running))[0].n) === 0);
abort.abort();
facts.aborted = await aborted;

const reader = createClient({ url, ...quiet });
facts.read = await rows(reader, "SELECT toUInt32(count()) AS n FROM node_true");
facts.refused = await refusal(() => reader.insert({ table: "node_true", values: [{ a: 1 }], format: "JSONEachRow" }));

const before = process.memoryUsage().rss;
let [count, sum, most] = [0, 0, before];
const result = await connect({ compression: { response: true } }).query({
  query: `SELECT number, concat('row ', toString(number), repeat('x', 20)) AS text FROM numbers(${STREAMED})`,
  format: "JSONCompactEachRow",
});
for await (const batch of result.stream()) {
  for (const row of batch) {
    count += 1;
    sum += Number(row.json()[0]);
  }
  most = Math.max(most, process.memoryUsage().rss);
}
facts.stream = { count, sum, client_grew_kib: Math.round((most - before) / 1024) };
process.stdout.write(`${JSON.stringify(facts)}\n`, () => process.exit(0));

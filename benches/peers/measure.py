"""Measures what each makes of the same frames, in frames a second of CPU time, and prints ratios.

cryptofeed and nautilus_trader make their own trade of a frame and hand it over; mprism makes its message's text and id of it, too. Each
runs pinned to one core; rounds alternate, so that a machine that slows down does so for all of them.
"""

import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

# A stream that all of them read: aggregate trades of a venue, of which cryptofeed reads no others.
FRAMES = "binance/usdm/trade/cryptofeed-20210722.jsonl"
ROUNDS = 7
PASSES = 400
# MarketPrism's normaliser cannot be installed: where it was measured, it made 74,000 frames a second and cryptofeed 317,000.
MARKETPRISM_OF_CRYPTOFEED = 74 / 317


def symbols(frames: list[str]) -> list[str]:
    return sorted({json.loads(frame)["data"]["s"] for frame in frames})


def cryptofeed_reads(frames: list[str]):
    """Returns what reads all frames as cryptofeed's feed does, and how many trades came of them."""
    from cryptofeed.defines import TRADES
    from cryptofeed.exchanges import Binance
    from cryptofeed.symbols import Symbols

    # Instead of asking the venue for its instruments.
    names = {f"{symbol.removesuffix('USDT')}-USDT": symbol for symbol in symbols(frames)}
    Symbols.set("BINANCE", names, {"instrument_type": {name: "spot" for name in names}, "tick_size": {}})
    heard = 0

    async def trade(_trade, _receipt):
        nonlocal heard
        heard += 1

    feed = Binance(symbols=list(names), channels=[TRADES], callbacks={TRADES: trade})

    async def read_all():
        for frame in frames:
            await feed.message_handler(frame, None, 0.0)

    loop = asyncio.new_event_loop()

    def read() -> int:
        nonlocal heard
        heard = 0
        loop.run_until_complete(read_all())
        return heard

    return read


def nautilus_reads(frames: list[str]):
    """Returns what reads all frames as nautilus_trader's data client does: the wrapper first, then the message."""
    import msgspec
    from nautilus_trader.adapters.binance.common.schemas.market import BinanceAggregatedTradeMsg, BinanceDataMsgWrapper
    from nautilus_trader.common.component import LiveClock
    from nautilus_trader.model.identifiers import InstrumentId

    wrapper = msgspec.json.Decoder(BinanceDataMsgWrapper)
    message = msgspec.json.Decoder(BinanceAggregatedTradeMsg)
    known = {symbol: InstrumentId.from_str(f"{symbol}-PERP.BINANCE") for symbol in symbols(frames)}
    clock = LiveClock()
    raw = [frame.encode() for frame in frames]

    def read() -> int:
        heard = 0
        for frame in raw:
            if "@aggTrade" in wrapper.decode(frame).stream:
                told = message.decode(frame)
                told.data.parse_to_trade_tick(instrument_id=known[told.data.s], ts_init=clock.timestamp_ns())
                heard += 1
        return heard

    return read


def mprism_reads(mprism: str, folder: Path) -> float:
    """Returns mprism's own measurement: frames a second of CPU time, the median of its samples."""
    said = subprocess.run(
        [mprism, "--home", str(folder / "home"), "bench", "collector", "--frames", str(folder), "--json", "--quiet"],
        # A busy machine may be over a budget, which is no matter here.
        check=False,
        capture_output=True,
        text=True,
    )
    results = {result["id"]: result["value"] for result in json.loads(said.stdout or "{}").get("results", [])}
    if "binance/usdm/trade" not in results:
        sys.exit(f"mprism measured nothing: {said.stdout}{said.stderr}")
    return results["binance/usdm/trade"]


def rate(read, expected: int) -> float:
    began = time.process_time()
    for _ in range(PASSES):
        heard = read()
        if heard != expected:
            sys.exit(f"{heard} trades came of {expected} frames")
    return PASSES * expected / (time.process_time() - began)


def main() -> None:
    mprism, corpus, work = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    # Children inherit it.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    lines = (corpus / FRAMES).read_text().splitlines()
    folder = work / "binance/usdm/trade"
    folder.mkdir(parents=True)
    (folder / "frames.jsonl").write_text("\n".join(lines) + "\n")
    peers = {"cryptofeed": cryptofeed_reads(lines), "nautilus_trader": nautilus_reads(lines)}
    rates: dict[str, list[float]] = {name: [] for name in [*peers, "mprism"]}
    for number in range(1, ROUNDS + 1):
        for name, read in peers.items():
            rates[name].append(rate(read, len(lines)))
        rates["mprism"].append(mprism_reads(mprism, work))
        print(f"{number}/{ROUNDS}", file=sys.stderr)
    median = {name: statistics.median(values) for name, values in rates.items()}
    median["MarketPrism, by cryptofeed"] = median["cryptofeed"] * MARKETPRISM_OF_CRYPTOFEED
    names = {name: f"{name} {version(name)}" for name in peers}
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    print(f"{today}, {os.cpu_count()} × {model}, Python {platform.python_version()}")
    print(f"{len(lines)} frames of {FRAMES}, one core, medians of {ROUNDS} rounds")
    for name, value in sorted(median.items(), key=lambda entry: entry[1]):
        spread = f"{min(rates[name]):,.0f} to {max(rates[name]):,.0f}" if name in rates else ""
        ratio = median["mprism"] / value
        print(f"{names.get(name, name):32} {value:12,.0f} frames/s   mprism is {ratio:5.1f} ×   {spread}")


if __name__ == "__main__":
    main()

//! `/metrics`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::Response;
use mprism_model::DataType;
use mprism_runtime::http::metrics_response;
use mprism_runtime::metrics::Exposition;

use super::Source;
use crate::stats::{ExchangeStats, StreamStats};

/// `GET /metrics`.
pub(super) async fn metrics(State(source): State<Source>) -> Response {
    let stats = &source.stats;
    let mut text = Exposition::new();
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let uptime = format!("{:.3}", stats.started.elapsed().as_secs_f64());
    text.gauge(
        "marketprism_uptime_seconds",
        "Time since the collector started.",
        &[],
        uptime,
    );
    let is_connected = u8::from(source.bus.connection().borrow().is_connected);
    text.gauge(
        "marketprism_nats_connected",
        "Whether the broker answers.",
        &[],
        is_connected,
    );
    text.counter(
        "marketprism_nats_messages_published_total",
        "Messages the broker acknowledged.",
        &[],
        load(&stats.published),
    );
    text.counter(
        "marketprism_nats_publish_duplicates_total",
        "Messages the broker had already.",
        &[],
        load(&stats.publish_duplicates),
    );
    text.counter(
        "marketprism_nats_mirrored_total",
        "Copies handed to core NATS.",
        &[],
        load(&stats.mirrored),
    );
    for (error_type, count) in stats.publish_troubles.counts() {
        let help = "Messages the broker did not take, by cause; they are sent again.";
        text.counter(
            "marketprism_nats_publish_errors_total",
            help,
            &[("error_type", &error_type)],
            count,
        );
    }
    text.counter(
        "marketprism_unpublishable_total",
        "Messages no broker would take.",
        &[],
        load(&stats.unpublishable),
    );
    text.gauge(
        "marketprism_spool_backlog",
        "Events not acknowledged yet.",
        &[],
        load(&stats.backlog),
    );
    for (data_type, longest) in stats
        .spool_written
        .get()
        .iter()
        .flat_map(|spool| spool.durable_after_longest())
    {
        text.gauge(
            "marketprism_spool_durable_after_longest_seconds",
            "Longest time from an event's leaving the socket to its being on the disk for good.",
            &[("type", data_type.as_str())],
            longest.as_secs_f64(),
        );
    }
    let exchanges = stats.exchanges();
    let symbols: usize = exchanges
        .values()
        .map(|e| {
            let streams = e.streams().into_iter();
            let spoke = streams.filter(|(_, stream)| stream.last_ms.load(Ordering::Relaxed) > 0);
            spoke.map(|((_, symbol), _)| symbol).collect::<BTreeSet<_>>().len()
        })
        .sum();
    text.gauge("marketprism_active_symbols_count", "Symbols with events.", &[], symbols);
    type Value = fn(&ExchangeStats) -> u64;
    let per_exchange: [(&str, &str, Value); 25] = [
        (
            "marketprism_websocket_reconnections_total",
            "Connections after the first.",
            |e| e.connects.load(Ordering::Relaxed).saturating_sub(1),
        ),
        ("marketprism_websocket_frames_total", "Frames received.", |e| {
            e.frames.load(Ordering::Relaxed)
        }),
        (
            "marketprism_websocket_renewals_total",
            "Connections that were replaced before they were left.",
            |e| e.renewals.load(Ordering::Relaxed),
        ),
        (
            "marketprism_latency_warnings_total",
            "Times that events began to arrive later and later.",
            |e| e.latency_warnings.load(Ordering::Relaxed),
        ),
        (
            "marketprism_observations_total",
            "Observations accepted: funding, open interest, liquidations, ratios, volatility.",
            |e| e.observations.load(Ordering::Relaxed),
        ),
        (
            "marketprism_observations_repeated_total",
            "Observations that were known already.",
            |e| e.repeats.load(Ordering::Relaxed),
        ),
        (
            "marketprism_observations_thinned_total",
            "Observations left out because the venue repeats itself more often than is of use.",
            |e| e.thinned.load(Ordering::Relaxed),
        ),
        ("marketprism_polls_total", "Questions for observations.", |e| {
            e.polls.load(Ordering::Relaxed)
        }),
        ("marketprism_trades_total", "Trades accepted.", |e| {
            e.trades.load(Ordering::Relaxed)
        }),
        ("marketprism_replayed_total", "Trades seen before and dropped.", |e| {
            e.replays.load(Ordering::Relaxed)
        }),
        ("marketprism_gaps_total", "Gap rows written.", |e| {
            e.gaps.load(Ordering::Relaxed)
        }),
        ("marketprism_shed_total", "Events refused for lack of room.", |e| {
            e.shed.load(Ordering::Relaxed)
        }),
        (
            "marketprism_backfilled_total",
            "Trades from the venue's history.",
            |e| e.backfilled.load(Ordering::Relaxed),
        ),
        ("marketprism_orderbook_diffs_total", "Order-book diffs applied.", |e| {
            e.diffs.load(Ordering::Relaxed)
        }),
        (
            "marketprism_orderbook_diffs_discarded_total",
            "Order-book diffs for which no snapshot came.",
            |e| e.diffs_discarded.load(Ordering::Relaxed),
        ),
        ("marketprism_orderbook_published_total", "Order books published.", |e| {
            e.books.load(Ordering::Relaxed)
        }),
        (
            "marketprism_orderbook_shed_total",
            "Order books not published for lack of room.",
            |e| e.books_shed.load(Ordering::Relaxed),
        ),
        (
            "marketprism_orderbook_uncertain_total",
            "Order books not published because too few levels were certain.",
            |e| e.books_uncertain.load(Ordering::Relaxed),
        ),
        (
            "marketprism_orderbook_resyncs_total",
            "Order books that stopped being valid.",
            |e| e.resyncs.load(Ordering::Relaxed),
        ),
        (
            "marketprism_orderbook_confirmed_total",
            "Live order books that a second snapshot confirmed.",
            |e| e.confirmed.load(Ordering::Relaxed),
        ),
        (
            "marketprism_orderbook_doubted_total",
            "Live order books that a second snapshot contradicted, so that a third one was asked for.",
            |e| e.doubted.load(Ordering::Relaxed),
        ),
        (
            "marketprism_orderbook_corrected_total",
            "Live order books that two snapshots in a row contradicted, and that the second replaced.",
            |e| e.corrected.load(Ordering::Relaxed),
        ),
        ("marketprism_orderbook_snapshots_total", "Snapshots asked for.", |e| {
            e.snapshots.load(Ordering::Relaxed)
        }),
        ("marketprism_ws_pings_total", "Pings of the venue.", |e| {
            e.pings.load(Ordering::Relaxed)
        }),
        (
            "marketprism_skipped_total",
            "Valid events that are not collected.",
            |e| e.skipped.total(),
        ),
    ];
    for (name, exchange) in &exchanges {
        let help = "Whether the venue's connection is up.";
        let value = u8::from(exchange.is_connected());
        text.gauge("marketprism_websocket_connected", help, &[("exchange", name)], value);
    }
    for (name, exchange) in &exchanges {
        let help = "From the venue's time of the last event to our socket, in milliseconds.";
        let latency_ms = exchange.latency_ms.load(Ordering::Relaxed);
        text.gauge(
            "marketprism_exchange_latency_ms",
            help,
            &[("exchange", name)],
            latency_ms,
        );
    }
    for (metric, help, value) in per_exchange {
        for (name, exchange) in &exchanges {
            text.counter(metric, help, &[("exchange", name)], value(exchange));
        }
    }
    for (name, exchange) in &exchanges {
        for (cause, count) in exchange.malformed.counts() {
            let labels = [("exchange", *name), ("validation_type", cause.as_str())];
            text.counter(
                "marketprism_data_validation_errors_total",
                "Frames not understood.",
                &labels,
                count,
            );
        }
    }
    for (name, exchange) in &exchanges {
        for (cause, count) in exchange.disconnects.counts() {
            let labels = [("component", *name), ("error_type", cause.as_str())];
            text.counter(
                "marketprism_errors_total",
                "Connections that ended, by cause.",
                &labels,
                count,
            );
        }
    }
    for (name, exchange) in &exchanges {
        for (cause, count) in exchange.rest_errors.counts() {
            let labels = [("exchange", *name), ("error_type", cause.as_str())];
            let help = "Questions to the venue without a good answer, by cause.";
            text.counter("marketprism_rest_errors_total", help, &labels, count);
        }
    }
    for (name, exchange) in &exchanges {
        if let Some(budget) = exchange.budget() {
            let help = "Request weight used in this minute.";
            text.gauge(
                "marketprism_rest_weight_used",
                help,
                &[("exchange", name)],
                budget.used(),
            );
        }
    }
    order_books(&exchanges, &mut text);
    metrics_response(text.finish())
}

/// What the original told of each order book.
fn order_books(exchanges: &BTreeMap<&'static str, Arc<ExchangeStats>>, text: &mut Exposition) {
    type Value = fn(&StreamStats) -> String;
    let per_book: [(&str, &str, bool, Value); 3] = [
        ("marketprism_orderbook_updates_total", "Diffs applied.", true, |s| {
            s.events.load(Ordering::Relaxed).to_string()
        }),
        (
            "marketprism_last_orderbook_update_timestamp",
            "When the last diff came, in seconds since the Unix epoch.",
            false,
            |s| format!("{:.3}", s.last_ms.load(Ordering::Relaxed) as f64 / 1000.0),
        ),
        (
            "marketprism_orderbook_sync_status",
            "Whether the book is what the venue has.",
            false,
            |s| u8::from(s.live().0).to_string(),
        ),
    ];
    for (metric, help, is_counter, value) in per_book {
        for (exchange, stats) in exchanges {
            for ((kind, symbol), stream) in stats.streams() {
                if kind != DataType::OrderBook {
                    continue;
                }
                let labels = [("exchange", *exchange), ("symbol", symbol.as_str())];
                if is_counter {
                    text.counter(metric, help, &labels, value(&stream));
                } else {
                    text.gauge(metric, help, &labels, value(&stream));
                }
            }
        }
    }
}

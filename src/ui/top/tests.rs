use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::draw;
use crate::control::{Desired, Service, UnitState, UnitStatus};
use crate::report::{
    ColdLag, Dashboard, ExchangeLoad, Gaps, Input, LoggedError, Percentiles, Sample, StreamLoad, TypeFlow,
};

const TYPES: [&str; 8] = [
    "orderbook",
    "trade",
    "funding_rate",
    "open_interest",
    "liquidation",
    "lsr_top_position",
    "lsr_all_account",
    "volatility_index",
];

fn unit(name: Service, state: UnitState) -> UnitStatus {
    let runs = state == UnitState::Running;
    UnitStatus {
        name,
        desired: Desired::Up,
        state,
        healthy: Some(runs),
        pid: runs.then_some(4_242),
        uptime_s: runs.then_some(3_723.0),
        restarts: 0,
        cpu_percent: runs.then_some(3.12),
        rss_bytes: runs.then_some(64 << 20),
        address: "http://127.0.0.1:8085".into(),
        version: Some("0.1.0".into()),
        last_error: (!runs).then(|| "ended with exit code 1".into()),
    }
}

/// A home in which much goes well and something does not, after some looks.
fn dashboard() -> Dashboard {
    let mut dashboard = Dashboard::new("/home/desk/.local/share/mprism".into(), Duration::from_secs(1));
    for look in 0..200_u32 {
        let rate = |at: usize| Some(f64::from(look % 10) * 12.5 / (at + 1) as f64);
        let flow = TYPES.iter().enumerate().map(|(at, name)| TypeFlow {
            r#type: name,
            rows_per_s: rate(at),
            rows: Some(u64::from(look) * 100),
            held: Some(at as u64),
        });
        let mut services: Vec<UnitStatus> = Service::ALL.map(|name| unit(name, UnitState::Running)).into();
        services[5] = unit(Service::Cold, UnitState::Backoff);
        dashboard.take(Sample {
            time: "2026-11-26T03:14:15.926Z".into(),
            interval_s: 1.0,
            verdict: "unhealthy",
            services,
            rows_per_s: rate(0),
            flow: flow.collect(),
            latency_ms: Percentiles {
                p50: Some(198.0),
                p90: Some(342.0),
                p99: Some(400.0 + f64::from(look % 7) * 20.0),
            },
            streams: ["DEAD_LETTER", "MARKET_DATA", "ORDERBOOK_SNAP"]
                .map(|name| StreamLoad {
                    name: name.into(),
                    messages: 29_600,
                    bytes: 19 << 20,
                    pending: 33,
                })
                .into(),
            spool_backlog: Some(7),
            cold: ColdLag {
                lag_s: Some(125.0),
                rows: Some(4_096),
            },
            exchanges: [("binance_spot", true), ("okx_spot", false)]
                .map(|(name, connected)| ExchangeLoad {
                    name: name.into(),
                    connected,
                    latency_ms: Some(21.0),
                    reconnections: 1,
                })
                .into(),
            gaps: Gaps {
                open: Some(1),
                unfillable: Some(2),
                filled: Some(3),
            },
            errors: vec![LoggedError {
                time: "2026-11-26T03:14:09.000Z".into(),
                service: "cold",
                message: "the cold store does not answer url=http://127.0.0.1:18123".into(),
            }],
            trouble: None,
        });
    }
    dashboard
}

fn drawn(dashboard: &Dashboard, (width, height): (u16, u16), color: bool) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, dashboard, color)).expect("drawn");
    terminal.backend().clone()
}

fn text(backend: &TestBackend) -> String {
    let buffer = backend.buffer();
    let lines = buffer.content().chunks(usize::from(buffer.area.width));
    let lines = lines.map(|cells| {
        cells
            .iter()
            .map(|cell| cell.symbol())
            .collect::<String>()
            .trim_end()
            .to_owned()
            + "\n"
    });
    lines.collect()
}

#[test]
fn both_sizes_show_everything_that_an_operator_asks_for() {
    for (size, name) in [((80, 24), "top-80x24"), ((160, 50), "top-160x50")] {
        let shown = text(&drawn(&dashboard(), size, true));
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        mprism_testkit::same_as_file(&root.join(format!("tests/screens/{name}.txt")), &shown);
        for told in [
            "unhealthy",
            "hot",
            "volatility_index",
            "p99 460 ms",
            "open",
            "the cold store does not answer",
        ] {
            assert!(shown.contains(told), "{told} is missing at {name}:\n{shown}");
        }
    }
}

#[test]
fn any_size_can_be_drawn_whatever_is_known() {
    let mut helping = dashboard();
    helping.press(Input::Help);
    let empty = Dashboard::new(String::new(), Duration::from_secs(1));
    for size in [(1, 1), (20, 5), (79, 23), (80, 24), (120, 36), (200, 60), (500, 10)] {
        for dashboard in [&helping, &empty] {
            drawn(dashboard, size, true);
        }
    }
}

#[test]
fn keys_are_explained_and_what_was_chosen_is_shown() {
    let mut dashboard = dashboard();
    dashboard.press(Input::Help);
    assert!(text(&drawn(&dashboard, (80, 24), true)).contains("hold what is shown"));
    dashboard.press(Input::Close);
    dashboard.press(Input::Pause);
    dashboard.press(Input::Sort);
    let shown = text(&drawn(&dashboard, (80, 24), true));
    assert!(shown.contains("PAUSED") && shown.contains("busiest first"), "{shown}");
}

#[test]
fn without_colour_nothing_is_coloured_and_everything_is_there() {
    let (plain, colored) = (
        drawn(&dashboard(), (80, 24), false),
        drawn(&dashboard(), (80, 24), true),
    );
    assert_eq!(text(&plain), text(&colored));
    let is_colored = |backend: &TestBackend| backend.buffer().content().iter().any(|cell| cell.fg != Color::Reset);
    assert!(!is_colored(&plain) && is_colored(&colored));
}

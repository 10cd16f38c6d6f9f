//! A hot worker's options and a connection to its bus.

use std::path::Path;
use std::time::Duration;

use mprism_bus::{Bus, BusOptions, LayoutOptions, layout};
use mprism_clickhouse::StoreOptions;
use mprism_model::DataType;
use mprism_storage::{BatchOptions, StorageOptions};
use mprism_testkit::{NatsServer, PATIENCE, free_address};

/// Returns how to reach a server.
pub(crate) fn bus_options(url: &str) -> BusOptions {
    BusOptions {
        url: url.into(),
        client_name: "test".into(),
        ..BusOptions::default()
    }
}

/// Connects to a server, and waits until that is done.
pub(crate) async fn connect(server: &NatsServer) -> Bus {
    let bus = Bus::connect(bus_options(&server.url())).await.expect("an address");
    bus.ready(PATIENCE).await.expect("connected");
    bus
}

/// Returns a hot worker's options for these types: batches are small, and nothing is cold.
pub(crate) fn worker_options(bus: &str, store: StoreOptions, types: &[DataType], locks: &Path) -> StorageOptions {
    let names: Vec<&str> = types.iter().map(|data_type| data_type.as_str()).collect();
    let layout = layout(&LayoutOptions::standard(&names, 1_000));
    StorageOptions {
        listen: free_address(),
        guard: None,
        bus: bus_options(bus),
        store,
        cold: None,
        durables: types.iter().copied().zip(layout.durables).collect(),
        batch: BatchOptions {
            rows_max: 1_000,
            bytes_max: 16 << 20,
            age_max: Duration::from_millis(20),
        },
        locks: locks.to_owned(),
        lease_ttl: mprism_bus::LEASE_TTL,
        cold_worker: free_address().into(),
    }
}

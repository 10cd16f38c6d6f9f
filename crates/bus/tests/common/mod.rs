//! A connection to a real nats-server.

use mprism_bus::{Bus, BusOptions};
use mprism_testkit::{NatsServer, PATIENCE};

/// Connects, and waits until that is done.
pub(crate) async fn connect(server: &NatsServer) -> Bus {
    let options = BusOptions {
        url: server.url(),
        client_name: "test".into(),
        ..BusOptions::default()
    };
    let bus = Bus::connect(options).await.expect("an address");
    bus.ready(PATIENCE).await.expect("connected");
    bus
}

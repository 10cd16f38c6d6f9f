//! What the venue says about the connection.

use super::*;
use crate::wire::Accepted;

#[test]
fn answers_heartbeats_and_notices_are_told_apart() {
    let accepted = r#"{"jsonrpc":"2.0","id":42,"result":["book.BTC-PERPETUAL.100ms"],"usIn":1,"usOut":2,"usDiff":1,"testnet":false}"#;
    let channel = || "book.BTC-PERPETUAL.100ms".into();
    assert_eq!(one(accepted), Said::Accepted(Accepted::Only(42, vec![channel()])));
    let nothing = r#"{"jsonrpc":"2.0","id":7,"result":[]}"#;
    assert_eq!(one(nothing), Said::Accepted(Accepted::Only(7, Vec::new())));
    assert_eq!(
        one(r#"{"jsonrpc":"2.0","id":1,"result":"ok"}"#),
        Said::Accepted(Accepted::All(1))
    );
    assert_eq!(
        one(r#"{"jsonrpc":"2.0","id":0,"result":{"version":"1.2.26"}}"#),
        Said::Alive
    );
    let heartbeat = |kind: &str| {
        one(&format!(
            r#"{{"jsonrpc":"2.0","method":"heartbeat","params":{{"type":"{kind}"}}}}"#
        ))
    };
    assert_eq!(heartbeat("heartbeat"), Said::Alive);
    let Said::Asks(proof) = heartbeat("test_request") else {
        panic!("a proof of life is asked for");
    };
    assert!(proof.contains("public/test"), "{proof}");
    for (code, message) in [
        (10_028, "too_many_requests"),
        (11_051, "system_maintenance"),
        (13_778, "raw"),
    ] {
        let refused = format!(r#"{{"jsonrpc":"2.0","id":9,"error":{{"code":{code},"message":"{message}"}}}}"#);
        let message = message.to_owned();
        assert_eq!(
            one(&refused),
            Said::Refused {
                id: Some(9),
                code,
                message
            }
        );
    }
    let state = |data| one(&notification("platform_state", data));
    assert_eq!(state(r#"{"maintenance":true}"#), Said::Leaving);
    assert!(matches!(state(r#"{"maintenance":false}"#), Said::Skipped(_)));
    assert!(matches!(
        state(r#"{"price_index":"btc_usd","locked":true}"#),
        Said::Skipped(_)
    ));
    for channel in ["quote.BTC-PERPETUAL", "perpetual.BTC-PERPETUAL.100ms", "zz", ""] {
        assert!(
            matches!(one(&notification(channel, "{}")), Said::Skipped(_)),
            "{channel}"
        );
    }
}

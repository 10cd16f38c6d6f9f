//! Faults of every kind in one store: `integrity` names each with its table, venue and symbol, once, and nothing else.

use std::collections::BTreeSet;

use crate::damage::{Fault, damaged};

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_named_once_and_nothing_else_is() {
    let (home, faults) = damaged().await;
    let done = home.run(&["integrity", "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    let document = done.document();
    let checks = document["checks"].as_array().expect("a list");
    let errors: Vec<_> = checks.iter().filter(|check| check["level"] == "error").collect();
    let mut named: BTreeSet<Fault> = BTreeSet::new();
    for error in &errors {
        let fault = faults.iter().find(|fault| fault.is(error));
        let fault = fault.unwrap_or_else(|| panic!("nobody wrote this: {error}"));
        assert!(named.insert(*fault), "told twice: {error}");
        if fault.rows > 0 {
            assert_eq!(error["rows"], fault.rows, "{error}");
        }
    }
    assert_eq!(named, faults, "{errors:?}");
}

//! Faults of every kind in one store.

use crate::damage::damaged;

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_does_not_pass() {
    let (home, faults) = damaged().await;
    assert_eq!(faults.len(), 8);
    let done = home.run(&["integrity", "--json"]);
    assert_eq!(
        (done.code, &done.document()["verdict"]),
        (1, &"fail".into()),
        "{done:?}"
    );
}

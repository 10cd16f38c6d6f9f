//! A disk that is full, or runs full.

use mprism_testkit::Tmpfs;

use crate::support::Home;

#[test]
fn a_home_without_room_is_refused_before_anything_is_made() {
    let home = Home::new();
    std::fs::create_dir(home.path()).expect("made");
    let Some(_disk) = Tmpfs::mount(&home.path(), 8 << 20) else {
        return;
    };
    for verb in [&["init"][..], &["up", "--sim", "--for", "1s"], &["start", "--sim"]] {
        let done = home.run(&[verb, &["--json"]].concat());
        assert_eq!(done.code, 1, "{done:?}");
        let error = done.document()["error"].clone();
        assert_eq!(error["code"], "disk_full", "{error}");
        let message = error["message"].as_str().expect("a text");
        assert!(
            message.contains("64.0 MiB") && message.contains("8.0 MiB are free"),
            "{message}"
        );
        assert!(error["hints"].to_string().contains("df -h"), "{error}");
        let left = std::fs::read_dir(home.path()).expect("readable").count();
        assert_eq!(left, 0, "nothing was made");
    }
}

#[test]
fn a_disk_that_runs_full_during_init_is_the_reason_told_and_nothing_is_left_running() {
    let home = Home::new();
    std::fs::create_dir(home.path()).expect("made");
    let Some(_disk) = Tmpfs::mount(&home.path(), 96 << 20) else {
        return;
    };
    // The folders are there, so the home is not new; then somebody else takes the room.
    home.good(&["init"]);
    home.good(&["start", "clickhouse"]);
    home.write("DROP DATABASE marketprism_hot");
    home.good(&["down"]);
    let hog = home.path().join("data/hog");
    let filled = std::fs::write(&hog, vec![1; 128 << 20]);
    filled.expect_err("the disk is full");
    let done = home.run(&["init", "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    let error = done.document()["error"].clone();
    assert_eq!(error["code"], "disk_full", "{error}");
    let status = home.good(&["status"]);
    let services = status["services"].as_array().expect("a list");
    assert!(services.iter().all(|service| service["state"] == "stopped"), "{status}");
    // With room again, the same command mends it.
    std::fs::remove_file(&hog).expect("removed");
    let repaired = home.good(&["init"]);
    assert!(repaired["tables"].to_string().contains("trades"), "{repaired}");
}

//! The files that these tests start their gateways from.

use tests::gateway::{APPS, ROOMY};

/// As [`ROOMY`], with so many shards.
pub(crate) fn shards(count: usize) -> String {
    let config = ROOMY.replace("shards = 2", &format!("shards = {count}"));
    assert_ne!(config, ROOMY.replace("shards = 2", ""), "ROOMY names its shards");
    config + "frames_per_second = 1000000\n"
}

/// As [`APPS`], with rates that a test does not reach.
pub(crate) fn roomy() -> String {
    with_limits(
        "publishes_per_second = 1000000\npublishes_per_second_per_connection = 1000000\n\
         client_events_per_second = 1000000\nconnects_per_second = 100000\n\
         connections_max = 20000\n",
    )
}

/// As [`APPS`], with these limits of the app `demo`.
pub(crate) fn with_limits(limits: &str) -> String {
    const BEFORE: &str = "[[app.key]]\nkey = \"demokey\"";
    assert!(APPS.contains(BEFORE), "APPS has the key of demo");
    APPS.replace(BEFORE, &format!("[app.limits]\n{limits}{BEFORE}"))
}

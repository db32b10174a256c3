//! Which rows of the catalogue are here, which are somewhere else, and which cannot be, and why.

use std::collections::BTreeSet;

use super::{api, configuration, frames, handshake, messages, signatures, tls, transport};

/// Series of the catalogue that concern a gateway without a control plane, and their lengths.
const SERIES: [(&str, usize); 6] =
    [("H", 55), ("F", 57), ("M", 45), ("P", 39), ("C", 27), ("N", 14)];
const ENVIRONMENT: [&str; 8] = ["E-01", "E-02", "E-03", "E-04", "E-05", "E-06", "E-07", "E-08"];
/// Numbers that the catalogue leaves out.
const UNUSED: [&str; 6] = ["C-14", "C-15", "C-16", "C-17", "C-18", "C-19"];
const SIGNATURE_ROWS_MIN: usize = 25;

/// Played by a test of its own, not by a table.
const BY_A_TEST: [&str; 23] = [
    "H-40", "H-43", "H-53", "H-54", "H-55", "F-27", "F-32", "F-41", "F-53", "F-54", "F-57", "M-30",
    "M-41", "M-45", "P-02", "P-03", "P-25", "P-27", "P-30", "P-31", "C-01", "C-12", "N-04",
];

/// Tested where it is made: by units whose clock or broker is theirs.
const ELSEWHERE: [(&str, &str); 5] = [
    ("P-26", "services/gateway/src/http/api/tests: a clock that is put forward"),
    ("P-29", "services/gateway/src/http/api/tests: a broker that is away, and one that is slow"),
    ("C-13", "tests/it/reload.rs: reloads beside connections"),
    ("E-08", "services/gateway/src/config/tests.rs: connections_are_capped_to_the_descriptors"),
    ("N-13", "services/gateway/src/app/tests.rs: per IPv4 address and IPv6 /64, not per /24"),
];

const NOT_APPLICABLE: [(&str, &str); 34] = [
    ("H-42", "PROXY protocol is not spoken yet"),
    ("F-19", "no dialect speaks protobuf yet"),
    ("F-29", "compression is not spoken yet: F-28 is what a client meets"),
    ("M-09", "Pusher's messages have no ids"),
    ("M-10", "Pusher's messages have no ids"),
    ("M-16", "Pusher has no connect message: the handshake is all"),
    ("M-17", "Pusher has no connect message"),
    ("M-25", "nothing in Pusher carries a position to resume from"),
    ("M-26", "nothing in Pusher carries a position to resume from"),
    ("M-27", "nothing in Pusher carries a position to resume from"),
    ("M-28", "nothing in Pusher carries a position to resume from"),
    ("M-32", "client events have no message ids; P-25 is the API's"),
    ("M-33", "client events have no message ids; P-25 is the API's"),
    ("M-35", "Pusher's clients cannot ask for history; P-41 is the API's"),
    ("M-36", "presence_members_max is 10,000 at most, and nothing is paged"),
    ("M-38", "no dialect refreshes tokens yet"),
    ("M-39", "no dialect refreshes tokens yet"),
    ("M-40", "no dialect acknowledges yet"),
    ("M-43", "no dialect calls the tenant's backend yet"),
    ("M-44", "fan-out is measured by make bench and judged by the ledger"),
    ("P-28", "there are no byte rates and no monthly quotas yet; an app that is off is P-03"),
    ("P-33", "HTTP/2 is not spoken: H-48"),
    ("C-20", "there is no control plane to send snapshots yet"),
    ("C-21", "there is no control plane to send snapshots yet"),
    ("C-22", "a file of apps is refused as a whole: C-12"),
    ("C-24", "there is no control plane to send snapshots yet"),
    ("C-26", "there is no control plane to send snapshots yet"),
    ("C-27", "there is no control plane to send snapshots yet"),
    ("E-06", "there is no broker or database to reach by URL yet"),
    ("E-07", "there is no memory budget yet"),
    ("N-06..N-10", "HTTP/2 is not spoken: H-48"),
    ("N-11", "needs faults put into accept()"),
    ("N-12", "there is no broker or database link yet"),
    ("N-14", "needs a kernel that others do not share; a reader that is stuck is F-54"),
];

#[test]
#[expect(clippy::print_stdout, reason = "what is skipped is said, by name")]
fn every_row_of_the_catalogue_is_played_or_skipped_by_name() {
    let tables = [
        handshake::table(),
        frames::table(),
        messages::table(),
        signatures::table(),
        api::table(),
        tls::table(),
        transport::slow_table(),
        transport::pipelined_table(),
    ];
    let rows: Vec<&str> = tables.iter().flatten().map(|row| row.id).collect();
    let configuration = configuration::ids();
    let played: BTreeSet<&str> =
        rows.iter().chain(&configuration).chain(&BY_A_TEST).copied().collect();
    println!("{} rows in tables, {} ids", rows.len() + configuration.len(), played.len());
    for (id, why) in ELSEWHERE {
        println!("elsewhere {id}: {why}");
    }
    for (id, why) in NOT_APPLICABLE {
        println!("not applicable {id}: {why}");
    }

    let named = |id: &str| {
        let listed = ELSEWHERE.iter().chain(&NOT_APPLICABLE).any(|(name, _)| {
            *name == id || name.split_once("..").is_some_and(|(a, b)| (a..=b).contains(&id))
        });
        listed || UNUSED.contains(&id)
    };
    let all = SERIES
        .iter()
        .flat_map(|(series, count)| (1..=*count).map(move |n| format!("{series}-{n:02}")))
        .chain(ENVIRONMENT.map(String::from));
    let missing: Vec<String> = all.filter(|id| !played.contains(&**id) && !named(id)).collect();
    assert!(missing.is_empty(), "neither played nor skipped: {missing:?}");
    let both: Vec<&&str> = played.iter().filter(|id| named(id)).collect();
    assert!(both.is_empty(), "played, and skipped: {both:?}");
    let signatures = rows.iter().filter(|id| id.starts_with("S-")).count();
    assert!(signatures >= SIGNATURE_ROWS_MIN, "{signatures} rows of signatures");
}

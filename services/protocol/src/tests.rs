//! What holds of all dialects together.

use std::fmt::Write;
use std::path::Path;

use model::CloseReason;

use crate::{PROTOCOLS, find};

/// The table `close reason x dialect`; `UPDATE=1` writes it anew.
#[test]
fn close_codes_are_as_documented() {
    let mut table = String::from("reason");
    for protocol in PROTOCOLS {
        write!(table, " {}", protocol.name()).expect("a String takes all");
    }
    for reason in CloseReason::ALL {
        write!(table, "\n{}", reason.word()).expect("a String takes all");
        for protocol in PROTOCOLS {
            let code = protocol.farewell(reason).code;
            write!(table, " {code}").expect("a String takes all");
        }
    }
    table.push('\n');
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/close_codes.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &table).expect("the table can be written");
    }
    let written = std::fs::read_to_string(&path).expect("the table can be read");
    assert_eq!(table, written, "UPDATE=1 rewrites");
}

/// Each dialect's page lists each reason with its code.
#[test]
fn the_pages_list_every_close_code() {
    for protocol in PROTOCOLS {
        let page = format!("../../docs/protocols/{}.md", protocol.name());
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let page = std::fs::read_to_string(&page).expect("each dialect has a page");
        for reason in CloseReason::ALL {
            if matches!(reason, CloseReason::ClientClosed | CloseReason::Gone) {
                continue;
            }
            let row = format!("| `{}` | {} |", reason.word(), protocol.farewell(reason).code);
            let is_there = page.lines().any(|line| line.starts_with(&row));
            assert!(is_there, "{}.md has no line {row}", protocol.name());
        }
    }
}

#[test]
fn pusher_never_says_4000() {
    let pusher = find("pusher").expect("a dialect");
    assert!(CloseReason::ALL.iter().all(|reason| pusher.farewell(*reason).code != 4000));
}

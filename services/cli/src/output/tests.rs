//! What other people's text may do to a terminal.

use serde_json::json;

use super::{json, spelled};

#[test]
fn control_characters_are_spelled_out() {
    assert_eq!(spelled("a\tb\n\u{1b}[2Jc\u{9b}"), "a\tb\n\\u{1b}[2Jc\\u{9b}");
}

#[test]
fn control_characters_are_spelled_out_in_json_which_stays_what_it_was() {
    let value = json!({ "data": "a\tb\n\u{1b}[2Jc\u{7f}\u{9b}" });
    let text = json(&value);
    assert_eq!(text, r#"{"data":"a\tb\n\u001b[2Jc\u007f\u009b"}"#);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).ok(), Some(value));
}

//! What other people's text may do to a terminal.

use super::spelled;

#[test]
fn control_characters_are_spelled_out() {
    assert_eq!(spelled("a\tb\n\u{1b}[2Jc\u{9b}"), "a\tb\n\\u{1b}[2Jc\\u{9b}");
}

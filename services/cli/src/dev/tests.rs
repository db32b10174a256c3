//! How addresses are written.

use super::address;
use super::invocation::quoted;

#[test]
fn addresses_are_read_as_people_write_them() {
    for (text, expected) in [
        ("127.0.0.1:7000", Some("127.0.0.1:7000")),
        ("localhost:7000", Some("127.0.0.1:7000")),
        (":7000", Some("127.0.0.1:7000")),
        ("[::1]:0", Some("[::1]:0")),
        ("0.0.0.0:80", Some("0.0.0.0:80")),
        ("7000", None),
        ("localhost", None),
        ("localhost:99999", None),
        ("example.com:7000", None),
    ] {
        let read = address(text).ok().map(|address| address.to_string());
        assert_eq!(read.as_deref(), expected, "{text}");
    }
}

#[test]
fn what_is_printed_is_one_word_of_a_shell() {
    for (text, expected) in [
        ("./target/release/wharf", "./target/release/wharf"),
        ("a b", "'a b'"),
        ("it's", r"'it'\''s'"),
        ("$HOME", "'$HOME'"),
        ("", "''"),
    ] {
        assert_eq!(quoted(text), expected);
    }
}

//! How a gateway's address is read and written, and which are this machine.

use super::Address;

#[test]
fn addresses_are_read_as_people_write_them() {
    for (text, expected) in [
        ("http://127.0.0.1:7000", Some(("http://127.0.0.1:7000", "ws://127.0.0.1:7000"))),
        ("ws://127.0.0.1:7000/", Some(("http://127.0.0.1:7000", "ws://127.0.0.1:7000"))),
        ("https://rt.example.com", Some(("https://rt.example.com", "wss://rt.example.com"))),
        (
            "wss://rt.example.com:8443",
            Some(("https://rt.example.com:8443", "wss://rt.example.com:8443")),
        ),
        ("http://[::1]:7000", Some(("http://[::1]:7000", "ws://[::1]:7000"))),
        ("http://h:80", Some(("http://h", "ws://h"))),
        ("127.0.0.1:7000", None),
        ("http://", None),
        ("ftp://h", None),
        ("http://h/a/demo/raw", None),
        ("http://user@h", None),
    ] {
        let read = text.parse::<Address>().ok();
        let read = read.map(|address| (address.to_string(), address.web_socket()));
        let expected = expected.map(|(http, ws)| (String::from(http), String::from(ws)));
        assert_eq!(read, expected, "{text}");
    }
}

#[test]
fn only_names_of_this_machine_are_loopback() {
    for (text, expected) in [
        ("http://127.0.0.1:7000", true),
        ("http://127.9.9.9", true),
        ("http://[::1]:7000", true),
        ("http://[::ffff:127.0.0.1]", true),
        ("http://LOCALHOST", true),
        ("http://0.0.0.0", false),
        ("http://192.168.0.7:7000", false),
        ("http://localhost.example.com", false),
        ("http://127.0.0.1.example.com", false),
    ] {
        let address: Address = text.parse().expect("an address");
        assert_eq!(address.is_loopback(), expected, "{text}");
    }
}

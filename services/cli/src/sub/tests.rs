//! What a line looks like, and how long a reconnect waits.

use std::time::Duration;

use model::ChannelName;

use super::backoff::Backoff;
use super::follow::Payload;
use super::{line, seconds};
use crate::output::Output;

#[test]
fn lines_say_what_came() {
    let channel = ChannelName::parse("lobby").expect("a name");
    let text = || Payload::Text(String::from(r#"{"a":"ü"}"#));
    let binary = || Payload::Binary(vec![0, 1, 255]);
    for (output, name_channels, payload, expected) in [
        (Output::Text, false, text(), r#"{"a":"ü"}"#),
        (Output::Text, true, text(), r#"lobby {"a":"ü"}"#),
        (Output::Text, false, binary(), "base64:AAH/"),
        (Output::Json, false, text(), r#"{"channel":"lobby","data":"{\"a\":\"ü\"}"}"#),
        (Output::Json, true, binary(), r#"{"channel":"lobby","data_base64":"AAH/"}"#),
    ] {
        assert_eq!(line(output, name_channels, &channel, payload), expected);
    }
}

#[test]
fn waits_grow_to_a_bound_and_begin_anew() {
    let mut backoff = Backoff::default();
    let mut longest = 500;
    for _ in 0..40 {
        let wait = backoff.next();
        assert!(wait >= Duration::from_millis(longest / 2), "{wait:?}");
        assert!(wait <= Duration::from_millis(longest), "{wait:?}");
        longest = (longest * 2).min(30_000);
    }
    backoff.reset();
    assert!(backoff.next() <= Duration::from_millis(500));
}

#[test]
fn seconds_are_read_as_people_write_them() {
    for (text, millis) in [("5", Some(5_000)), ("0.5", Some(500)), ("2s", Some(2_000))] {
        assert_eq!(seconds(text).ok().map(|span| span.as_millis()), millis, "{text}");
    }
    for text in ["", "-1", "x", "inf", "NaN", "1e300"] {
        assert!(seconds(text).is_err(), "{text}");
    }
}

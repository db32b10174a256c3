//! Tests of the modules that are one file.

use std::error::Error;
use std::fmt;

use crate::{Secret, chain, clock};

#[derive(Debug)]
struct Layer(&'static str, Option<Box<Layer>>);

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Layer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as _)
    }
}

fn layers(texts: &[&'static str]) -> Layer {
    let (first, rest) = texts.split_first().expect("a layer");
    Layer(first, (!rest.is_empty()).then(|| Box::new(layers(rest))))
}

#[test]
fn an_error_and_its_causes_are_one_line() {
    for (texts, expected) in [
        (&["refused"][..], "refused"),
        (&["read cache", "open", "denied"][..], "read cache: open: denied"),
        (&["read cache: denied", "denied"][..], "read cache: denied"),
        (&["a\nb", "\n c\r\n"][..], "a b: c"),
        (&["a", "", "b"][..], "a: b"),
    ] {
        assert_eq!(chain(&layers(texts)).to_string(), expected);
    }
}

#[test]
fn a_secret_is_never_printed() {
    let secret: Secret<String> = serde_json::from_str("\"canary\"").expect("a string");
    assert_eq!(secret.expose(), "canary");
    let shown = format!("{secret} {secret:?} {:#?} {}", Some(&secret), serde_json::json!([secret]));
    assert!(!shown.contains("canary"), "{shown}");
    assert_eq!(serde_json::to_string(&secret).expect("serialises"), "\"***\"");
}

#[test]
fn the_clock_tells_the_present() {
    let (seconds, millis) = (clock::unix_seconds(), clock::unix_millis());
    assert!(seconds > 1_700_000_000 && millis / 1_000 >= seconds);
}

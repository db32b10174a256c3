//! What we check and write by hand agrees with serde_json.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::json;

fuzz_target!(|text: &str| {
    let mut written = String::new();
    json::write_string(&mut written, text);
    let read: String = serde_json::from_str(&written).expect("a JSON string");
    assert_eq!(read, text);
    assert_eq!(json::check(&written), Ok(()));

    // serde_json refuses unpaired surrogates and depth 128 wherever it builds a value.
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
        assert_ne!(json::check(text), Err(json::JsonError::Surrogate));
        let data = json::decode_data(text.trim()).expect("a JSON value");
        match value {
            serde_json::Value::String(content) => assert_eq!(data.as_str(), content),
            _ => assert_eq!(data.as_str(), text.trim()),
        }
    }
});

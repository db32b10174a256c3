//! What is refused beside serde_json's own grammar, and that hand-written strings read back.

use proptest::prelude::*;

use super::*;

#[test]
fn depth_is_bounded() {
    let nested = |open: &str, depth: usize| open.repeat(depth);
    assert_eq!(check(&nested("[", 32)), Ok(()));
    assert_eq!(check(&nested("[", 33)), Err(JsonError::Depth));
    assert_eq!(check(&nested("{\"a\":", 33)), Err(JsonError::Depth));
    assert_eq!(check(&nested("[", 100_000)), Err(JsonError::Depth));
    assert_eq!(check(&nested("[]", 1000)), Ok(()));
    assert_eq!(check(&format!("\"{}\"", nested("[", 100))), Ok(()));
    assert_eq!(check(&format!("\"\\\"{}\"", nested("[", 100))), Ok(()));
}

#[test]
fn unpaired_surrogates_are_refused() {
    for text in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800x""#,
        r#""\ud800\u0041""#,
        r#""\ud800\ud800""#,
        r#"{"a":{"\uDBFF":1}}"#,
        r#"["ok","\\\ud83d"]"#,
        r#""\ud83d\\ude00""#,
    ] {
        assert_eq!(check(text), Err(JsonError::Surrogate), "{text}");
    }
    for text in [r#""\ud83d\ude00""#, r#""\\ud800""#, r#""\uD83D\uDE00\u0041""#, r#""\ue000""#] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
}

#[test]
fn truncated_text_is_left_to_serde() {
    for text in ["", "\"", "\"\\", "\"\\u", "\"\\u12", "\"\\uzzzz\"", "]]]]", "\"\\ud8"] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
}

#[test]
fn only_objects_are_objects() {
    use std::collections::HashMap;
    let read = |text| object::<HashMap<String, u32>>(text).err();
    assert_eq!(read("{}"), None);
    assert_eq!(read(" \n{\"a\":1} "), None);
    assert_eq!(read("[]"), Some(JsonError::NotAnObject));
    assert_eq!(read("\"x\""), Some(JsonError::NotAnObject));
    assert_eq!(read("\u{feff}{}"), Some(JsonError::NotAnObject));
    assert_eq!(read("{} {}"), Some(JsonError::Syntax));
    assert_eq!(read("{\"a\":1,}"), Some(JsonError::Syntax));
    assert_eq!(read(""), Some(JsonError::NotAnObject));
}

#[test]
fn data_is_decoded_where_it_is_a_string() {
    let decoded = |raw| decode_data(raw).map(|text| String::from(text.as_str()));
    assert_eq!(decoded(r#""{\"x\":1}""#), Ok(String::from(r#"{"x":1}"#)));
    assert_eq!(decoded(r#"{ "x": 1e999 }"#), Ok(String::from(r#"{ "x": 1e999 }"#)));
    assert_eq!(decoded("null"), Ok(String::from("null")));
    assert_eq!(decoded(r#""\ud800""#), Err(JsonError::Syntax));
}

proptest! {
    #[test]
    fn written_strings_read_back(content in "[\u{0}-\u{7f}\\PC\u{2028}\u{10ffff}]{0,60}") {
        let mut out = String::new();
        write_string(&mut out, &content);
        prop_assert_eq!(serde_json::from_str::<String>(&out).expect("a JSON string"), &content[..]);
        prop_assert_eq!(check(&out), Ok(()));
        prop_assert_eq!(decode_data(&out), Ok(Text::from(&*content)));
    }

    #[test]
    fn what_serde_reads_as_a_string_passes(content in "(\\\\u[dD][89abAB-fF][0-9a-f]{2}|\\\\n|[a-c\"])*") {
        let text = format!("\"{content}\"");
        if serde_json::from_str::<String>(&text).is_ok() {
            prop_assert_eq!(check(&text), Ok(()));
        } else if let Err(error) = check(&text) {
            prop_assert_eq!(error, JsonError::Surrogate);
        }
    }
}

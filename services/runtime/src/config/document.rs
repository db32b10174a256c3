//! TOML text to a type, and what is wrong where when it does not fit.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Error;
use super::read::position;
use super::suggest::nearest;

/// Why a text is not the type asked for. Holds no value of the text.
#[derive(Debug)]
pub(super) struct Fault {
    /// Keys from the root; an array's item is `[2]`.
    pub(super) path: Vec<String>,
    pub(super) kind: Kind,
    pub(super) problem: String,
    pub(super) fix: String,
    position: Option<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Syntax,
    UnknownField,
    MissingField,
    Value,
}

impl Fault {
    pub(super) fn is_missing_field(&self) -> bool {
        self.kind == Kind::MissingField
    }

    pub(super) fn key(&self) -> String {
        let mut key = String::new();
        for part in &self.path {
            if !key.is_empty() && !part.starts_with('[') {
                key.push('.');
            }
            key.push_str(part);
        }
        key
    }

    pub(super) fn to_error(&self, path: Option<&Path>) -> Error {
        Error::of_document(path, self.problem.as_str(), self.fix.as_str())
            .with_key(self.key())
            .at(self.position)
    }
}

pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    toml::from_str(text).map_err(|error| fault(text, &error))
}

pub(super) fn table(text: &str) -> Result<toml::Table, Fault> {
    decode(text)
}

fn fault(text: &str, error: &toml::de::Error) -> Fault {
    let place = error.span().map(|span| position(text, span.start));
    let tree = match DeTable::parse(text) {
        Ok(tree) => tree,
        Err(syntax) => {
            let problem = match first_line(syntax.message()) {
                message if message.contains("recurs") => "nested too deeply".to_owned(),
                message => format!("invalid TOML: {message}"),
            };
            return Fault {
                path: Vec::new(),
                kind: Kind::Syntax,
                problem,
                fix: "correct the text there".to_owned(),
                position: syntax.span().map(|span| position(text, span.start)).or(place),
            };
        }
    };
    let mut path = Vec::new();
    if let Some(span) = error.span() {
        descend_table(tree.get_ref(), &span, &mut path);
    }
    let (kind, problem, fix) = explain(first_line(error.message()));
    if let (Kind::MissingField, Some(field)) = (kind, quoted(error.message())) {
        path.push(field.to_owned());
    }
    // The root's span is the whole document, which says nothing about a place.
    let position = if path.len() > usize::from(kind == Kind::MissingField) { place } else { None };
    Fault { path, kind, problem, fix, position }
}

/// Extends `path` to the entry that `span` starts in. A table written with a header spans only its
/// header, so each table is searched before its own span is looked at.
fn descend_table(table: &DeTable<'_>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        if descend(value, span, path) || covers(&key.span(), span) {
            return true;
        }
        path.pop();
    }
    false
}

fn descend(value: &Spanned<DeValue<'_>>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    match value.get_ref() {
        DeValue::Table(table) if descend_table(table, span, path) => return true,
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(format!("[{index}]"));
                if descend(item, span, path) {
                    return true;
                }
                path.pop();
            }
        }
        _ => {}
    }
    covers(&value.span(), span)
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end && !outer.is_empty()
}

/// A deserialiser's message as problem and fix, without the value that it quotes.
fn explain(message: &str) -> (Kind, String, String) {
    let (what, expected) = match message.rfind(", expected ") {
        Some(at) => (&message[..at], &message[at + ", expected ".len()..]),
        None => (message, ""),
    };
    if what.starts_with("unknown field ") {
        let given = quoted(what).unwrap_or_default();
        let fix = choice("known keys here", given, expected);
        return (Kind::UnknownField, "unknown key".to_owned(), fix);
    }
    if what.starts_with("unknown variant ") {
        let fix = choice("allowed", quoted(what).unwrap_or_default(), expected);
        return (Kind::Value, "unknown value".to_owned(), fix);
    }
    if what.starts_with("missing field ") {
        return (Kind::MissingField, "is missing".to_owned(), "set it".to_owned());
    }
    if let Some(found) = what.strip_prefix("invalid type: ") {
        let kind = found.split(['`', '"']).next().unwrap_or_default().trim();
        let fix = format!("write {}", in_words(expected));
        return (Kind::Value, format!("has the wrong type, {}", in_words(kind)), fix);
    }
    if what.starts_with("invalid value: ") || what.starts_with("invalid length ") {
        let fix = format!("write {expected}");
        return (Kind::Value, "value is out of range".to_owned(), fix);
    }
    match message.split_once(": ") {
        Some((problem, fix)) => (Kind::Value, problem.to_owned(), fix.to_owned()),
        None => (Kind::Value, message.to_owned(), String::new()),
    }
}

/// What serde calls a type, as people who write TOML call it.
fn in_words(kind: &str) -> &str {
    match kind {
        "usize" | "u8" | "u16" | "u32" | "u64" | "i32" | "i64" | "integer" => "a whole number",
        "map" => "a table",
        "sequence" | "a sequence" => "a list (for tables: [[name]] with two brackets)",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

/// "did you mean" when one of the expected names is near, else all of them.
fn choice(label: &str, given: &str, expected: &str) -> String {
    let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    match nearest(given, &names) {
        Some(name) => format!("did you mean `{name}`?"),
        None if names.is_empty() => "remove it".to_owned(),
        None => format!("{label}: {}", names.join(", ")),
    }
}

fn quoted(message: &str) -> Option<&str> {
    message.split('`').nth(1)
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

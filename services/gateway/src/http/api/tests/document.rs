//! The document against the code that it describes.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::http::api::disconnect::DISCONNECT_FIELDS;
use crate::http::api::document;
use crate::http::api::publish::{BATCH_FIELDS, BROADCAST_FIELDS, MESSAGE_FIELDS, PUBLISH_FIELDS};
use crate::http::api::routes::ROUTES;

fn document() -> Value {
    serde_json::from_str(&document::text()).unwrap()
}

#[test]
fn document_and_route_table_list_the_same_operations() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = String::from(operation["operationId"].as_str().unwrap());
            described.insert((path.clone(), method.to_uppercase(), id));
        }
    }
    let routes = ROUTES.iter().map(|route| {
        let (path, method) = (String::from(route.path), route.method.to_string());
        (path, method, String::from(route.operation.name()))
    });
    assert_eq!(described, routes.collect());
}

#[test]
fn bodies_are_described_as_they_are_read() {
    let document = document();
    let check = |schema: &str, fields: &[&str]| {
        let schema = &document["components"]["schemas"][schema];
        let described = schema["properties"].as_object().unwrap().keys();
        let described: BTreeSet<&str> = described.map(String::as_str).collect();
        assert_eq!(described, fields.iter().copied().collect(), "{schema}");
        assert_eq!(schema["additionalProperties"], false, "{schema}");
    };
    check("Publish", &PUBLISH_FIELDS);
    check("Batch", &BATCH_FIELDS);
    check("Message", &MESSAGE_FIELDS);
    check("Broadcast", &BROADCAST_FIELDS);
    check("Disconnect", &DISCONNECT_FIELDS);
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn references(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    into.push(reference.clone());
                }
                fields.values().for_each(|value| references(value, into));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, into)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

/// `UPDATE=1` writes it.
#[test]
fn golden_copy_is_the_document() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let text = document::text();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "openapi.json is out of date: run the tests with UPDATE=1");
}

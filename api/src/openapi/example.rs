//! Examples, made from schemas: each member has one of its own, and what holds members is put together from theirs.

use serde_json::{Map, Value, json};

/// A time of the examples.
pub const EXAMPLE_TIME: &str = "2026-11-27T01:00:00.123456Z";

/// An id of the examples, as the server gives them.
pub const EXAMPLE_ID: &str = "019a3c5e-7f00-7abc-8def-012345678980";

/// The first example of a schema, or one that is put together from those of its members.
pub fn of(schema: &Value, document: &Value) -> Value {
    if let Some(example) = schema.pointer("/examples/0").or_else(|| schema.get("const")) {
        return example.clone();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        return document.pointer(reference.trim_start_matches('#')).map_or(Value::Null, |found| of(found, document));
    }
    for choice in ["oneOf", "anyOf", "enum"] {
        if let Some(first) = schema.pointer(&format!("/{choice}/0")) {
            return if choice == "enum" { first.clone() } else { of(first, document) };
        }
    }
    let all = schema["allOf"].as_array().map_or(&[][..], Vec::as_slice);
    let parts = all.iter().map(|part| of(part, document)).filter_map(|part| part.as_object().cloned());
    let mut members: Map<String, Value> = parts.flatten().collect();
    if let Some(properties) = schema["properties"].as_object() {
        members.extend(properties.iter().map(|(name, schema)| (name.clone(), of(schema, document))));
    }
    if !members.is_empty() {
        return Value::Object(members);
    }
    match (kind(schema), schema["format"].as_str()) {
        (Some("string"), Some("date-time")) => json!(EXAMPLE_TIME),
        (Some("string"), Some("uuid")) => json!(EXAMPLE_ID),
        (Some("string"), _) => json!("text"),
        (Some("integer" | "number"), _) => schema.get("minimum").cloned().unwrap_or(json!(1)),
        (Some("boolean"), _) => json!(true),
        (Some("array"), _) => json!([of(&schema["items"], document)]),
        _ => json!({}),
    }
}

/// The type of a schema, leaving null aside.
pub fn kind(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        single => single.as_str(),
    }
}

//! The document of a running shop, and what it says of an answer.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::kit::{Answer, Shop, send};

pub struct Document(pub Value);

impl Document {
    pub async fn of(shop: &Shop) -> Document {
        let answer = send(shop.get("/openapi.json")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        Document(answer.body)
    }

    /// Every operation: method, pattern and what is said of it.
    pub fn operations(&self) -> Vec<(String, &str, &Value)> {
        let paths = self.0["paths"].as_object().unwrap();
        let of_path = |(path, item)| {
            let item: &Map<String, Value> = Value::as_object(item).unwrap();
            item.iter().map(move |(method, operation)| (method.to_uppercase(), String::as_str(path), operation))
        };
        paths.iter().flat_map(of_path).collect()
    }

    /// What a reference stands for; anything else stands for itself.
    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(to) => self.0.pointer(to.trim_start_matches('#')).unwrap_or_else(|| panic!("{to} is not there")),
            None => value,
        }
    }

    /// What is wrong with a value; nothing: it is of this schema, and has no member that the schema does not name.
    pub fn errors(&self, schema: &Value, value: &Value) -> Vec<String> {
        let found = self.validator(schema);
        found.iter_errors(value).map(|error| format!("{error} at {:?}", error.instance_path().as_str())).collect()
    }

    pub fn validator(&self, schema: &Value) -> Validator {
        let mut components = self.0["components"]["schemas"].clone();
        for (name, schema) in components.as_object_mut().unwrap() {
            // Problems are closed where the members of their code are added.
            if name != "Problem" {
                close(schema);
            }
        }
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": {"schemas": components},
            "allOf": [schema],
        });
        jsonschema::options().should_validate_formats(true).build(&whole).expect("a JSON Schema")
    }

    /// Checks that an answer is one that the document tells of: status, type and body.
    pub fn check(&self, method: &str, pattern: &str, answer: &Answer) {
        let what = format!("{method} {pattern} {}: {:?}", answer.status, answer.body);
        let operation = &self.0["paths"][pattern][method.to_lowercase()];
        assert!(operation.is_object(), "there is no such operation: {what}");
        let response = &operation["responses"][answer.status.to_string()];
        assert!(response.is_object(), "the document does not tell of this status: {what}");
        let response = self.resolve(response);
        for (name, header) in response["headers"].as_object().unwrap() {
            let is_promised = ["x-request-id", "location", "content-language"].contains(&name.as_str());
            assert!(!is_promised || answer.headers.contains_key(name), "{name} ({header}) is missing: {what}");
        }
        let content = &response["content"];
        if content.is_null() {
            assert!(answer.body.is_null() && answer.header("content-type").is_empty(), "{what}");
            return;
        }
        let media = answer.header("content-type").split(';').next().unwrap();
        assert!(content[media].is_object(), "the document does not tell of {media}: {what}");
        if media.ends_with("json") {
            let errors = self.errors(&content[media]["schema"], &answer.body);
            assert!(errors.is_empty(), "{what}: {errors:#?}");
        }
    }
}

/// Allows only the members that are named.
fn close(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    if members.contains_key("allOf") {
        members.insert("unevaluatedProperties".to_owned(), json!(false));
    } else if members.contains_key("properties") && !members.contains_key("additionalProperties") {
        members.insert("additionalProperties".to_owned(), json!(false));
    }
    for part in members.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
        close(part);
    }
}

//! Adds to the document what no handler says for itself, because it is the same for all.

use std::collections::BTreeSet;

use common::limits::BODY_MAX_BYTES;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{OpenApi, RefOr, Schema};

use super::refusals::{COMPONENTS, component, schemas};
use super::{commands, example, members, probes, shapes, webhooks};
use crate::status::Document;

const ABOUT: &str = include_str!("about.md");

/// The chapters: how paths begin, the longest first; the name; what it is about.
const TAGS: &[(&str, &str, &str)] = &[
    ("/api/products", "Products", "The catalogue, for everybody."),
    ("/api/cart", "Cart", "It reserves nothing: stock is decided when the order is."),
    ("/api/coupons", "Coupons", "First come, first served."),
    ("/api/orders", "Orders", "All or nothing, through the line."),
    ("/api/users", "Shopper", "What a shopper holds."),
    ("/api/requests", "Requests", "Where a command stands, and what came of it."),
    ("/api/admin", "Operators", "With the operators' token, or a token whose `role` is `admin`."),
    ("/", "Service", "Probes, and this document."),
];

const SHOPPERS_TOKEN: &str =
    "A JWT that names the shopper. With `AUTH_MODE=off` none is demanded, and whoever `userId` names is believed.";

/// The derive knows an alias by the name of its type.
const WON: (&str, &str) = ("#/components/schemas/i64", "#/components/schemas/Won");

/// The whole document.
pub fn finish(described: OpenApi) -> Value {
    let mut document = serde_json::to_value(described).expect("a document is made of texts and numbers");
    document["info"] = json!({
        "title": "Droplane",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": {"name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE")},
    });
    document["servers"] = json!([{"url": "/", "description": "Whoever served this document."}]);
    let tags = TAGS.iter().map(|(_, name, about)| json!({"name": name, "description": about}));
    document["tags"] = tags.collect();
    extend(&mut document["paths"], probes::paths());
    document["components"]["schemas"] = Value::Object(with_ours(document["components"]["schemas"].take()));
    rename_won(&mut document);
    describe_members(&mut document);
    let schemas = document["components"]["schemas"].clone();
    for (path, item) in members_of(&mut document["paths"]) {
        for (_, operation) in members_of(item) {
            finish_operation(path, operation, &schemas);
        }
    }
    let shared = shared(&document);
    extend(&mut document["components"], shared);
    document["webhooks"] = webhooks::webhooks(&document);
    add_examples(&mut document);
    document
}

fn members_of(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flatten()
}

fn extend(value: &mut Value, with: Value) {
    if let (Some(members), Value::Object(more)) = (value.as_object_mut(), with) {
        members.extend(more);
    }
}

/// The schemas that handlers brought, and those that only problems, commands and webhooks name.
fn with_ours(theirs: Value) -> Map<String, Value> {
    fn add<T: ToSchema>(to: &mut Vec<(String, RefOr<Schema>)>) {
        to.push((T::name().into_owned(), T::schema()));
        T::schemas(to);
    }
    let mut ours = Vec::new();
    add::<Document<'_>>(&mut ours);
    add::<shapes::CommandResult>(&mut ours);
    add::<shapes::FieldError>(&mut ours);
    add::<shapes::InsufficientItem>(&mut ours);
    add::<shapes::Ready>(&mut ours);
    add::<shapes::SyncedOrder>(&mut ours);
    add::<shapes::AdminAlert>(&mut ours);
    let ours = ours.into_iter().map(|(name, schema)| (name, json!(schema)));
    let theirs = theirs.as_object().cloned().unwrap_or_default();
    let all: Map<String, Value> = theirs.into_iter().chain(ours).chain(schemas()).collect();
    all.into_iter().filter(|(name, _)| name != "i64").chain([("Won".to_owned(), won())]).collect()
}

fn won() -> Value {
    json!({"type": "integer", "format": "int64", "description": "A whole number of won.", "examples": [1_000]})
}

fn rename_won(value: &mut Value) {
    match value {
        Value::String(text) if text == WON.0 => WON.1.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(rename_won),
        Value::Object(members) => members.values_mut().for_each(rename_won),
        _ => {}
    }
}

/// Gives every member an example and a description, ids their form, and what is sent its bounds.
fn describe_members(document: &mut Value) {
    let sent = sent(document);
    for (schema, value) in members_of(&mut document["components"]["schemas"]) {
        let is_sent = sent.contains(schema);
        describe_schema(schema, value, is_sent);
    }
}

fn describe_schema(schema: &str, value: &mut Value, is_sent: bool) {
    for choice in ["oneOf", "anyOf", "allOf"] {
        for part in value.get_mut(choice).and_then(Value::as_array_mut).into_iter().flatten() {
            describe_schema(schema, part, is_sent);
        }
    }
    for (name, property) in value.get_mut("properties").map(members_of).into_iter().flatten() {
        let Some(property) = property.as_object_mut() else { continue };
        let is_text = example::kind(&Value::Object(property.clone())) == Some("string");
        if let Some((example, description)) = members::member(schema, name) {
            property.entry("description").or_insert_with(|| json!(description));
            // What has members of its own is put together from theirs.
            let whole = Value::Object(property.clone());
            let reference = whole["$ref"].as_str().or_else(|| whole.pointer("/oneOf/0/$ref")?.as_str());
            let is_list = property.contains_key("items") && !example.is_array();
            if !is_list && reference.is_none_or(|reference| reference == WON.1) {
                property.entry("examples").or_insert_with(|| json!([example]));
            }
        }
        if let Some(Value::Object(form)) = members::id(name).filter(|_| is_text) {
            property.extend(form);
        }
        if let Some(Value::Object(bounds)) = members::bounds(schema, name).filter(|_| is_sent) {
            property.extend(bounds);
        }
    }
}

/// The schemas of request bodies, and those within them.
fn sent(document: &Value) -> BTreeSet<String> {
    let operations = document["paths"].as_object().into_iter().flat_map(Map::values);
    let operations = operations.filter_map(Value::as_object).flat_map(Map::values);
    let mut found = BTreeSet::new();
    let mut to_look_at: Vec<&Value> = operations.map(|operation| &operation["requestBody"]).collect();
    while let Some(value) = to_look_at.pop() {
        let name = value["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        if let Some(name) = name.filter(|name| found.insert((*name).to_owned())) {
            to_look_at.push(&document["components"]["schemas"][name]);
        }
        match value {
            Value::Array(items) => to_look_at.extend(items),
            Value::Object(members) => to_look_at.extend(members.values()),
            _ => {}
        }
    }
    found
}

fn finish_operation(path: &str, operation: &mut Value, schemas: &Value) {
    let tag = TAGS.iter().find(|(begins, ..)| path.starts_with(begins)).map_or("Service", |(_, name, _)| name);
    operation["tags"] = json!([tag]);
    // A summary is no Markdown.
    if let Some(summary) = operation["summary"].as_str() {
        operation["summary"] = json!(summary.replace('`', ""));
    }
    let is_command = operation["responses"]["202"]["$ref"].as_str().is_some_and(|to| to.ends_with(commands::ACCEPTED));
    if operation["responses"].get("401").is_some() {
        let scheme = if path.starts_with("/api/admin") { "operator" } else { "shopper" };
        operation["security"] = json!([{scheme: []}]);
    }
    for (status, response) in members_of(&mut operation["responses"]) {
        if let Some(response) = response.as_object_mut().filter(|response| !response.contains_key("$ref")) {
            if response.get("description").is_none_or(|text| text == "") {
                let done = if status == "201" { "It is made." } else { "It is done, or as shown." };
                response.insert("description".to_owned(), json!(done));
            }
            response.insert("headers".to_owned(), json!({"x-request-id": {"$ref": "#/components/headers/XRequestId"}}));
        }
    }
    operation["parameters"] = Value::Array(parameters(path, operation["parameters"].as_array(), is_command));
    if let Some(body) = operation.get_mut("requestBody") {
        body["description"] = json!(format!("At most {BODY_MAX_BYTES} bytes. Members that are not known are ignored."));
        // No body counts as one without members.
        let schema = body.pointer("/content/application~1json/schema/$ref").and_then(Value::as_str);
        let schema = schema.and_then(|reference| schemas.get(reference.rsplit('/').next()?));
        body["required"] = json!(schema.is_some_and(|schema| schema.get("required").is_some()));
    }
}

fn parameters(path: &str, given: Option<&Vec<Value>>, is_command: bool) -> Vec<Value> {
    let in_path = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let in_path = in_path.map(|name| json!({"name": name, "in": "path", "required": true}));
    // Handlers name what they take from the query; the path is in its pattern already.
    let mut all: Vec<Value> = in_path.chain(given.into_iter().flatten().cloned()).collect();
    for parameter in &mut all {
        let name = parameter["name"].as_str().unwrap_or_default();
        if let Some((mut schema, description)) = members::parameter(path, name) {
            let example = example::of(&schema, &Value::Null);
            schema.as_object_mut().map(|schema| schema.remove("examples"));
            parameter["schema"] = schema;
            parameter["description"] = json!(description);
            parameter["example"] = example;
        }
    }
    if is_command {
        all.extend(commands::headers().as_array().cloned().unwrap_or_default());
    }
    all.push(json!({"$ref": "#/components/parameters/AcceptLanguage"}));
    all.push(json!({"$ref": "#/components/parameters/XRequestId"}));
    all
}

/// What operations refer to.
fn shared(document: &Value) -> Value {
    let mut responses: Map<String, Value> = commands::components().into_iter().collect();
    for response in responses.values_mut() {
        response["headers"]["x-request-id"] = json!({"$ref": "#/components/headers/XRequestId"});
    }
    let mut to_look_at = vec![&document["paths"]];
    while let Some(value) = to_look_at.pop() {
        let name = value["$ref"].as_str().and_then(|to| to.strip_prefix(COMPONENTS));
        if let Some(name) = name.filter(|name| !responses.contains_key(*name)) {
            responses.insert(name.to_owned(), component(name));
        }
        to_look_at.extend(value.as_object().into_iter().flat_map(Map::values));
    }
    let header = |description: &str, schema: Value| json!({"description": description, "schema": schema});
    let bearer = |description: &str| json!({"type": "http", "scheme": "bearer", "description": description});
    let text = json!({"type": "string"});
    json!({
        "responses": responses,
        "headers": {
            "XRequestId": header("The id of this call, as it stands in our log.", text.clone()),
            "ContentLanguage": header("Of `message`.", json!({"type": "string", "enum": ["ko", "en"]})),
            "RetryAfter": header("Seconds after which another attempt makes sense.", json!({"type": "integer"})),
        },
        "parameters": {
            "AcceptLanguage": {
                "name": "Accept-Language", "in": "header", "schema": text, "example": "en",
                "description": "`en`: errors in English. Otherwise they are Korean.",
            },
            "XRequestId": {
                "name": "x-request-id", "in": "header", "schema": text,
                "description": "An id for this call of your own: up to 64 of `A-Z a-z 0-9 - _ . :`.",
            },
        },
        "securitySchemes": {
            "shopper": bearer(SHOPPERS_TOKEN),
            "operator": bearer("`ADMIN_TOKEN`, or a JWT whose `role` is `admin`."),
        },
    })
}

/// Bodies that nobody has given an example get one that is put together from their members.
fn add_examples(document: &mut Value) {
    let whole = document.clone();
    let fill = |content: &mut Value| {
        for (_, media) in members_of(content) {
            if media.get("example").is_none() && media.get("examples").is_none() {
                media["example"] = example::of(&media["schema"], &whole);
            }
        }
    };
    for (_, item) in members_of(&mut document["paths"]) {
        for (_, operation) in members_of(item) {
            if let Some(body) = operation.get_mut("requestBody") {
                fill(&mut body["content"]);
            }
            for (_, response) in members_of(&mut operation["responses"]) {
                if let Some(content) = response.get_mut("content") {
                    fill(content);
                }
            }
        }
    }
}

//! The document says what the shop does: it is whole, its examples are true, and real answers are as it tells.

pub mod document;
mod odd_calls;
pub mod real;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::auth::with_tokens;
use crate::kit::{ADMIN_TOKEN, Shop, send};
use document::Document;

fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
        _ => {}
    }
}

/// The bodies of an operation: schema and examples.
fn bodies<'a>(document: &'a Document, operation: &'a Value) -> Vec<(String, &'a Value, Vec<&'a Value>)> {
    let responses = operation["responses"].as_object().unwrap();
    let holders = responses.iter().map(|(status, response)| (status.clone(), document.resolve(response)));
    let holders = holders.chain([("request".to_owned(), &operation["requestBody"])]);
    let media = |(name, holder): (String, &'a Value)| {
        let content = holder["content"].as_object().into_iter().flatten();
        content.map(move |(_, media)| {
            let named = media["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
            (name.clone(), &media["schema"], media.get("example").into_iter().chain(named).collect())
        })
    };
    holders.flat_map(media).collect()
}

#[tokio::test]
async fn the_document_is_whole() {
    let shop = Shop::open().await;
    let document = Document::of(&shop).await;
    assert_eq!(document.0["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    walk(&document.0, &mut |value| {
        document.resolve(value);
        let id = value["operationId"].as_str();
        assert!(id.is_none_or(|id| ids.insert(id)), "two operations are called {id:?}");
    });
    let tags: Vec<&Value> = document.0["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (method, path, operation) in document.operations() {
        let what = format!("{method} {path}");
        assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{what}");
        assert!(tags.contains(&&operation["tags"][0]), "{what} stands in no chapter");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{what} never succeeds");
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            let is_readiness = path == "/readyz" && status == "503";
            let content = &document.resolve(response)["content"];
            assert!(is_readiness || content["application/problem+json"].is_object(), "{what} {status}: {response}");
        }
        assert!(responses.contains_key("500") && responses.contains_key("403"), "{what}");
        let in_path = |parameter: &&Value| document.resolve(parameter)["in"] == "path";
        let parameters = operation["parameters"].as_array().unwrap();
        assert_eq!(parameters.iter().filter(in_path).count(), path.matches('{').count(), "{what}");
        for parameter in parameters.iter().map(|parameter| document.resolve(parameter)) {
            // Only this question has no answer without it.
            let is_needed =
                parameter["in"] == "path" || (path, &parameter["name"]) == ("/api/admin/requests", &"userId".into());
            assert_eq!(parameter["required"] == true, is_needed, "{what}: {parameter}");
            assert!(parameter["description"].is_string() && parameter["schema"].is_object(), "{what}: {parameter}");
        }
    }
    let webhooks: BTreeSet<&str> = document.0["webhooks"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(webhooks, BTreeSet::from(["adminAlert", "orderSync"]));
}

#[tokio::test]
async fn every_body_has_an_example_and_every_example_is_true() {
    let shop = Shop::open().await;
    let document = Document::of(&shop).await;
    let webhooks = document.0["webhooks"].as_object().unwrap().iter();
    let webhooks = webhooks.map(|(name, item)| ("webhook".to_owned(), name.as_str(), &item["post"]));
    for (method, path, operation) in document.operations().into_iter().chain(webhooks) {
        let what = format!("{method} {path}");
        for (of, schema, examples) in bodies(&document, operation) {
            assert!(!examples.is_empty(), "{what} {of} has no example");
            for example in examples {
                let errors = document.errors(schema, example);
                assert!(errors.is_empty(), "{what} {of}: {example}: {errors:#?}");
            }
        }
        for parameter in operation["parameters"].as_array().unwrap() {
            let parameter = document.resolve(parameter);
            if let Some(example) = parameter.get("example") {
                let errors = document.errors(&parameter["schema"], example);
                assert!(errors.is_empty(), "{what}: {parameter}: {errors:#?}");
            }
        }
    }
    for (name, schema) in document.0["components"]["schemas"].as_object().unwrap() {
        document.validator(&json!({"$ref": format!("#/components/schemas/{name}")}));
        for (member, property) in schema["properties"].as_object().into_iter().flatten() {
            let is_said = property["description"].is_string() || property["items"].is_object();
            let is_reference = property["$ref"].is_string() || property["oneOf"].is_array();
            assert!(is_said || is_reference, "nobody says what {name}.{member} is");
            let examples = property["examples"].as_array();
            let is_shown = examples.is_some() || is_reference || property["items"].is_object() || name == "Problem";
            assert!(is_shown || property["const"].is_string(), "{name}.{member} has no example");
            for example in examples.into_iter().flatten() {
                let errors = document.errors(property, example);
                assert!(errors.is_empty(), "{name}.{member}: {errors:#?}");
            }
        }
    }
}

#[tokio::test]
async fn what_demands_a_token_says_so() {
    let (shop, _) = with_tokens().await;
    let document = Document::of(&shop).await;
    for (method, path, operation) in document.operations() {
        let address = real::address(&document, path, operation);
        let mut request = shop.request(method.parse().unwrap(), &address);
        if let Some(example) = operation.pointer("/requestBody/content/application~1json/example") {
            request = request.json(example);
        }
        let answer = send(request).await;
        document.check(&method, path, &answer);
        assert_eq!(answer.status == 401, operation["security"].is_array(), "{method} {path}: {answer:?}");
    }
}

#[tokio::test]
async fn bodies_that_are_none_are_refused_as_told() {
    let shop = Shop::open().await;
    let document = Document::of(&shop).await;
    let with_body: Vec<_> =
        document.operations().into_iter().filter(|(.., it)| it["requestBody"].is_object()).collect();
    assert!(with_body.len() > 10);
    for (method, path, operation) in with_body {
        let address = real::address(&document, path, operation);
        let request = || shop.request(method.parse().unwrap(), &address).bearer_auth(ADMIN_TOKEN);
        let json = || request().header("content-type", "application/json");
        let rows = [
            (json().body("{"), 400),
            (json().body("[]"), 400),
            (json().body(" ".repeat(16 * 1024 + 1)), 413),
            (request().body("{}").header("content-type", "text/plain"), 415),
            (json().body("{}").header("host", "shop.example"), 403),
        ];
        for (request, status) in rows {
            let answer = send(request).await;
            assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
            document.check(&method, path, &answer);
        }
        let without = send(request()).await;
        document.check(&method, path, &without);
        let misses =
            without.body["errors"][0]["message"] == "must be given" && without.body["errors"][0]["field"] != "userId";
        assert_eq!(misses, operation["requestBody"]["required"] == true, "{method} {path}: {without:?}");
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let shop = Shop::open().await;
    let page = shop.get("/docs").send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'self';") && !policy.contains("http"), "{policy}");
    let html = page.text().await.unwrap();
    let named = |text: &str, before: &str| -> Vec<String> {
        let parts = text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
        parts.map(str::to_owned).collect()
    };
    let mut loads = named(&html, "src=\"");
    loads.extend(named(&html, "href=\""));
    assert!(loads.len() >= 5, "{loads:?}");
    for address in &loads {
        assert!(!address.contains(':') && !address.starts_with('/'), "{address} is somebody else's");
        let answer = shop.get(&format!("/{address}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{address}");
        assert!(answer.bytes().await.unwrap().len() > 100, "{address} is empty");
    }
    let script = shop.get("/docs/start.js").send().await.unwrap().text().await.unwrap();
    assert_eq!(named(&script, "url: \""), ["openapi.json"]);
    assert!(script.contains("validatorUrl: null") && !script.contains("//\""), "no validator of somebody else");
    let style = shop.get("/docs/swagger-ui.css").send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css");
    assert_eq!(style.headers()["content-encoding"], "gzip");
    for nothing in ["/docs/", "/docs/index.html", "/docs/nothing.js", "/docs/a/b", "/docs/..%2fpage"] {
        assert_eq!(send(shop.get(nothing)).await.problem(), (404, "X001"), "{nothing}");
    }
}

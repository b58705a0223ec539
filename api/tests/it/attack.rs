//! What somebody tries who means no good, at every endpoint there is: the endpoints are taken from the shop's own document,
//! so that a new one is attacked as soon as it is there.

mod bodies;
mod injection;
mod objects;
mod roles;
mod rsa;
mod tokens;

use reqwest::RequestBuilder;
use serde_json::Value;

use crate::kit::Shop;
use crate::openapi::document::Document;
use crate::openapi::real::address;

/// One endpoint, with a call that is good in itself.
struct Endpoint {
    method: String,
    /// `/api/orders/{orderId}`.
    pattern: String,
    /// The pattern with the examples of the document in it.
    address: String,
    /// The document's example of a body; null: it takes none.
    body: Value,
    /// Names of the parameters in its path.
    in_path: Vec<String>,
    /// Names of the parameters in its query.
    in_query: Vec<String>,
    /// Whether the document says that it demands a token.
    is_secured: bool,
}

impl Endpoint {
    fn is_for_operators(&self) -> bool {
        self.pattern.starts_with("/api/admin/")
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.pattern)
    }

    /// A call of this address with this body.
    fn call(&self, shop: &Shop, address: &str, body: &Value) -> RequestBuilder {
        let request = shop.request(self.method.parse().unwrap(), address);
        if body.is_null() { request } else { request.json(body) }
    }

    /// The call that is good in itself.
    fn good(&self, shop: &Shop) -> RequestBuilder {
        self.call(shop, &self.address, &self.body)
    }
}

/// Every endpoint of the shop.
async fn endpoints(shop: &Shop) -> Vec<Endpoint> {
    let document = Document::of(shop).await;
    let endpoint = |(method, pattern, operation): (String, &str, &Value)| {
        let parameters = operation["parameters"].as_array().unwrap().iter().map(|it| document.resolve(it));
        let named = |place: &str| {
            let those = parameters.clone().filter(|it| it["in"] == place);
            those.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
        };
        let content = &operation["requestBody"]["content"]["application/json"];
        let example = content.get("example").or_else(|| {
            let named = content["examples"].as_object()?;
            named.values().next()?.get("value")
        });
        let body = example.cloned().unwrap_or_default();
        assert_eq!(body.is_null(), operation["requestBody"].is_null(), "{method} {pattern} has a body without example");
        Endpoint {
            address: address(&document, pattern, operation),
            pattern: pattern.to_owned(),
            method,
            body,
            in_path: named("path"),
            in_query: named("query"),
            is_secured: operation["security"].is_array(),
        }
    };
    let all: Vec<Endpoint> = document.operations().into_iter().map(endpoint).collect();
    assert!(all.len() > 40, "the document tells of all of them");
    all
}

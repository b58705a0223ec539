//! The document of the API (OpenAPI 3.1), made from the handlers and the types that they take and give, and a page that
//! shows it.
//!
//! Read aloud: every handler describes itself; [`refusals`] are the errors that it can answer with; [`shapes`] stand for
//! types of crates that know no HTTP; [`members`] says what a member means wherever it occurs; [`finish`] adds what all
//! endpoints share.

mod example;
mod finish;
mod members;
mod page;
mod probes;
mod refusals;
mod webhooks;

pub mod commands;
pub mod shapes;

use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use refusals::{FromOutside, FromPostgres, InTheLine, OfOperator, OfShopper, Refused, WithBody, WithInput, codes};

/// The document as it is sent. Made when it is first asked for, once.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let described = described().merge(crate::routes::described()).into_openapi();
    let text = finish::finish(described).to_string();
    Bytes::from(text)
});

/// The document and its page, for everybody: they tell nothing that is not in the sources.
pub fn routes() -> Router {
    Router::from(described())
}

fn described<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::new().routes(routes!(show)).merge(page::routes())
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "showDocument",
    responses((status = 200, description = "An OpenAPI 3.1 document.", body = Object), Refused<()>),
)]
async fn show() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::DOCUMENT;
    use crate::routes::TABLE;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document: Value = serde_json::from_slice(&DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<(String, &str)> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(move |method| (method.to_uppercase(), path.as_str()))
            })
            .collect();
        let routes = TABLE.iter().map(|(method, path)| ((*method).to_owned(), *path)).collect();
        assert_eq!(described, routes);
    }
}

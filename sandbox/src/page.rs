//! The page: what arrived, and the switches. It needs nothing but the sandbox itself.

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::world::World;

/// Nothing from elsewhere, and nothing that stands in the page itself: what arrived is shown there, whoever wrote it.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const FILES: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/sandbox.js", "text/javascript; charset=utf-8", include_str!("page/sandbox.js")),
    ("/sandbox.css", "text/css; charset=utf-8", include_str!("page/sandbox.css")),
];

pub(crate) fn routes() -> Router<Arc<World>> {
    FILES
        .into_iter()
        .fold(Router::new(), |router, (path, kind, text)| router.route(path, get(async move || file(kind, text))))
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-cache")], text)
}

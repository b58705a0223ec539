//! The page that shows the document. All that it loads comes from this program, so it works without the internet.

use std::sync::Arc;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::Config;

use super::codes::X001;
use super::{Refused, WithInput};
use crate::error_table::Code;
use crate::extract::PathId;
use crate::problem::Problem;

const PAGE: &str = include_str!("page/page.html");
const SCRIPT: &str = include_str!("page/start.js");

/// The name of our own script among the files.
const SCRIPT_NAME: &str = "start.js";

/// What a browser may load for the page: only what we send. Swagger UI styles its elements by attributes, and keeps its
/// pictures in its style sheet.
const ONLY_FROM_US: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                            base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files are those of this build, and a day is soon enough to see the next one's.
const KEPT_FOR_A_DAY: &str = "public, max-age=86400";

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(file))
}

/// The page that shows this document, and tries calls.
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "showPage",
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html", example = "<!doctype html>"),
        Refused<()>,
    ),
)]
async fn show() -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, ONLY_FROM_US)];
    (headers, PAGE).into_response()
}

/// What the page loads.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    operation_id = "showPageFile",
    responses(
        (
            status = 200,
            description = "A script, a style sheet or a picture.",
            content(
                (String = "text/javascript", example = "window.onload = () => {}"),
                (String = "text/css", example = "body {}"),
                (String = "image/png", example = "PNG")
            ),
        ),
        Refused<(WithInput, X001)>,
    ),
)]
async fn file(PathId(name): PathId<String>) -> Result<Response, Problem> {
    if name == SCRIPT_NAME {
        return Ok(([(CONTENT_TYPE, "text/javascript")], SCRIPT).into_response());
    }
    let nothing = || Problem::new(Code::X001);
    // Of what Swagger UI brings, the page is ours.
    let found = utoipa_swagger_ui::serve(&name, Arc::new(Config::from(""))).ok().flatten();
    let found = found.filter(|found| !found.content_type.starts_with("text/html")).ok_or_else(nothing)?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(&found.content_type).map_err(Problem::internal)?);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(KEPT_FOR_A_DAY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if found.gzpipped {
        // It is kept packed, and there is no browser that cannot unpack it.
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok((headers, found.bytes.into_owned()).into_response())
}

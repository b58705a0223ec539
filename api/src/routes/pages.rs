//! The storefront, the operators' console, and what they are made of.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use common::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error_table::Code;
use crate::extract::JsonBody;
use crate::openapi::codes::X001;
use crate::openapi::{FromOutside, Refused, WithBody, WithInput};
use crate::problem::Problem;
use crate::state::AppState;

/// A browser asks whether its copy is still right, so a new build is seen at once.
const ASK_FIRST: &str = "no-cache";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(shop))
        .routes(routes!(admin))
        .routes(routes!(settings))
        .routes(routes!(demo_token))
        .routes(routes!(part))
}

/// The storefront.
#[utoipa::path(
    get,
    path = "/",
    operation_id = "showShop",
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html", example = "<!doctype html>"),
        (status = 304, description = "The caller's copy is still right."),
        Refused<()>,
    ),
)]
async fn shop(headers: HeaderMap) -> Result<Response, Problem> {
    send(&headers, web::SHOP)
}

/// The operators' console. It has no data of its own: it asks for a token, and calls the operators' endpoints with it.
#[utoipa::path(
    get,
    path = "/admin",
    operation_id = "showAdmin",
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html", example = "<!doctype html>"),
        (status = 304, description = "The caller's copy is still right."),
        Refused<()>,
    ),
)]
async fn admin(headers: HeaderMap) -> Result<Response, Problem> {
    send(&headers, web::ADMIN)
}

/// What the pages load.
#[utoipa::path(
    get,
    path = "/web/{folder}/{file}",
    operation_id = "showPagePart",
    responses(
        (
            status = 200,
            description = "A script, a style sheet or a picture.",
            content(
                (String = "text/javascript", example = "export {}"),
                (String = "text/css", example = "body {}"),
                (String = "image/svg+xml", example = "<svg/>")
            ),
        ),
        (status = 304, description = "The caller's copy is still right."),
        Refused<(WithInput, X001)>,
    ),
)]
async fn part(path: Result<Path<(String, String)>, PathRejection>, headers: HeaderMap) -> Result<Response, Problem> {
    let Path((folder, file)) = path.map_err(|_| Problem::field("path", "must be UTF-8"))?;
    if file.ends_with(".html") {
        return Err(Problem::new(Code::X001));
    }
    send(&headers, &format!("{folder}/{file}"))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PageSettings)]
struct Settings {
    /// Whether callers prove who they are.
    auth: AuthMode,
    demo_tokens: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AuthMode {
    /// Whoever is named is believed.
    Off,
    /// By a token.
    Jwt,
}

/// What the storefront has to know of this shop before it can sign anybody in.
#[utoipa::path(
    get,
    path = "/web/settings",
    operation_id = "showPageSettings",
    responses((status = 200, body = Settings), Refused<()>),
)]
async fn settings(State(state): State<AppState>) -> Json<Settings> {
    let auth = if state.auth.is_off() { AuthMode::Off } else { AuthMode::Jwt };
    Json(Settings { auth, demo_tokens: state.demo_tokens.is_some() })
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DemoTokenWish)]
struct Wish {
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
}

#[derive(Serialize, ToSchema)]
struct DemoToken {
    token: String,
}

/// A token of any shopper for anybody, where the shop is a demo. Elsewhere there is no such thing.
#[utoipa::path(
    post,
    path = "/web/tokens",
    operation_id = "makeDemoToken",
    request_body = Wish,
    responses((status = 200, body = DemoToken), Refused<(WithBody, FromOutside, X001)>),
)]
async fn demo_token(State(state): State<AppState>, JsonBody(wish): JsonBody<Wish>) -> Result<Json<DemoToken>, Problem> {
    let tokens = state.demo_tokens.as_ref().ok_or_else(|| Problem::new(Code::X001))?;
    let user_id = wish.user_id.ok_or_else(|| Problem::field("userId", "must be given"))?;
    let token = tokens.of(&user_id).await.map_err(Problem::unavailable)?;
    Ok(Json(DemoToken { token }))
}

fn send(headers: &HeaderMap, name: &str) -> Result<Response, Problem> {
    let file = web::file(name).ok_or_else(|| Problem::new(Code::X001))?;
    let etag = HeaderValue::from_str(&file.etag).map_err(Problem::internal)?;
    let kept = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_kept = kept.flat_map(|tags| tags.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == file.etag);
    let about = [(ETAG, etag), (CACHE_CONTROL, HeaderValue::from_static(ASK_FIRST))];
    if is_kept {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let safety = [
        (CONTENT_TYPE, file.content_type),
        (CONTENT_SECURITY_POLICY, web::CONTENT_SECURITY_POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    Ok((about, safety, file.bytes.into_owned()).into_response())
}

//! Asking to hear when a product that is gone is back.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use common::limits::MAX_EMAIL_CHARS;
use common::{ProductId, UserId};
use runtime::postgres::alone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::products::not_found;
use crate::extract::{JsonBody, PathId};
use crate::openapi::codes::P001;
use crate::openapi::{OfShopper, Refused, WithBody};
use crate::problem::Problem;
use crate::shape::Shape;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(register))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RestockRegistration)]
struct Registration {
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    email: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RestockRegistered)]
struct Registered {
    #[schema(value_type = String)]
    product_id: ProductId,
    email: String,
    status: &'static str,
}

/// Asks for a mail when a product that is gone is back.
///
/// 201 for a new registration, 200 for one that is there already. It stays until its mail is written.
#[utoipa::path(
    post,
    path = "/api/products/{productId}/restock-notification",
    operation_id = "askForRestockMail",
    request_body = Registration,
    responses(
        (status = 201, body = Registered),
        (status = 200, body = Registered, description = "It is registered already."),
        Refused<(WithBody, OfShopper, P001)>,
    ),
)]
async fn register(
    State(state): State<AppState>,
    PathId(product_id): PathId<ProductId>,
    headers: HeaderMap,
    JsonBody(registration): JsonBody<Registration>,
) -> Result<(StatusCode, Json<Registered>), Problem> {
    let email = registration.email.trim().to_owned();
    let mut shape = Shape::new();
    shape.demand(is_address(&email), "email", "must be a mail address such as user@example.com");
    shape.checked()?;
    let user_id = state.auth.caller(&headers).await?.acts_for(registration.user_id)?;
    let (known, is_new): (bool, bool) = sqlx::query_as(
        "with product as (
           select product_id from products where product_id = $1
         ),
         registered as (
           insert into restock_registrations (product_id, email, user_id)
           select product_id, $2, $3 from product
           on conflict do nothing
           returning product_id
         )
         select exists (select from product), exists (select from registered)",
    )
    .bind(product_id.as_str())
    .bind(&email)
    .bind(user_id.as_str())
    .fetch_one(alone(&state.pool))
    .await?;
    if !known {
        return Err(not_found(&product_id));
    }
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(Registered { product_id, email, status: "REGISTERED" })))
}

/// Whether it has the form that every mail address has; whether somebody reads it only a mail can tell.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let plain =
        |part: &str| part.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"<>,;:\"\\()[]@".contains(c));
    text.chars().count() <= MAX_EMAIL_CHARS
        && !local.is_empty()
        && plain(local)
        && plain(domain)
        && domain.split('.').count() >= 2
        && domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn addresses_have_a_form() {
        for good in ["user1@example.com", "a.b+c@sub.example.co.kr", "사용자@예시.한국"] {
            assert!(is_address(good), "{good}");
        }
        let long = format!("{}@example.com", "x".repeat(250));
        let wrong = [
            "",
            "@",
            "user",
            "user@",
            "@example.com",
            "user@example",
            "user@.com",
            "user@example..com",
            "a b@example.com",
            "user@exa mple.com",
            "a@b@example.com",
            "user@-example.com",
            "x@example.com\r\nbcc: y@example.com",
            "<user@example.com>",
            &long,
        ];
        for wrong in wrong {
            assert!(!is_address(wrong), "{wrong}");
        }
    }
}

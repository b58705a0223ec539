//! What sells best: counted elsewhere, shared by everybody.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use popular::Question;
use popular::limits::{MAX_POPULAR_DAYS, MAX_POPULAR_PRODUCTS};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::Params;
use crate::limits::{DEFAULT_POPULAR_DAYS, DEFAULT_POPULAR_PRODUCTS};
use crate::openapi::{FromPostgres, Refused, WithInput, shapes};
use crate::problem::Problem;
use crate::shape::Shape;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    days: Option<String>,
    limit: Option<String>,
}

/// The products in most orders of the last days; counted once a minute, shared by everybody.
#[utoipa::path(
    get,
    path = "/api/products/popular",
    operation_id = "listPopularProducts",
    params(ListParams),
    responses((status = 200, body = shapes::Popular), Refused<(WithInput, FromPostgres)>),
)]
async fn list(State(state): State<AppState>, Params(params): Params<ListParams>) -> Result<Response, Problem> {
    let json = state.popular.get(params.question()?).await?;
    let mut response = String::from(&*json).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

impl ListParams {
    fn question(self) -> Result<Question, Problem> {
        let mut shape = Shape::new();
        let mut number = |field: &str, given: Option<String>, default: u8, most: u8| {
            let number = given.map_or(Some(default), |given| given.parse().ok()).filter(|n| (1..=most).contains(n));
            shape.demand(number.is_some(), field, format!("must be between 1 and {most}"));
            number.unwrap_or(default)
        };
        let days = number("days", self.days, DEFAULT_POPULAR_DAYS, MAX_POPULAR_DAYS);
        let products = number("limit", self.limit, DEFAULT_POPULAR_PRODUCTS, MAX_POPULAR_PRODUCTS);
        shape.checked()?;
        Ok(Question::new(days, products).expect("both are within their bounds"))
    }
}

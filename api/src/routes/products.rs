//! The catalogue. Stock is read where it is decided, never from a cache.

use axum::Json;
use axum::extract::State;
use common::ProductId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error_table::Code;
use crate::extract::{Params, PathId};
use crate::limits::MAX_SEARCH_CHARS;
use crate::openapi::codes::P001;
use crate::openapi::{FromPostgres, Refused, WithInput};
use crate::page::{Page, PageParams};
use crate::problem::Problem;
use crate::shape::Shape;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(stock))
}

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Product {
    product_id: String,
    name: String,
    description: String,
    price: i64,
    stock: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Products {
    products: Vec<Product>,
    next_cursor: Option<String>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    limit: Option<String>,
    cursor: Option<String>,
    q: Option<String>,
}

/// The catalogue, by id; `q` finds names that hold a text, in any script.
#[utoipa::path(
    get,
    path = "/api/products",
    operation_id = "listProducts",
    params(ListParams),
    responses((status = 200, body = Products), Refused<(WithInput, FromPostgres)>),
)]
async fn list(State(state): State<AppState>, Params(params): Params<ListParams>) -> Result<Json<Products>, Problem> {
    let page = PageParams::of(params.limit, params.cursor).page::<ProductId>()?;
    let search = params.q.unwrap_or_default();
    let mut shape = Shape::new();
    shape.text("q", &search, 0..=MAX_SEARCH_CHARS);
    shape.checked()?;
    let rows = match search.trim() {
        "" => all(&state, &page).await?,
        text => named(&state, &page, text).await?,
    };
    let (products, next_cursor) = page.cut(rows, |row| &row.product_id);
    Ok(Json(Products { products, next_cursor }))
}

async fn all(state: &AppState, page: &Page) -> Result<Vec<Product>, Problem> {
    let rows = sqlx::query_as(
        "select product_id, name, description, price, stock
           from products
          where product_id > $1
          order by product_id
          limit $2",
    )
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    Ok(rows)
}

async fn named(state: &AppState, page: &Page, text: &str) -> Result<Vec<Product>, Problem> {
    let rows = sqlx::query_as(
        "select product_id, name, description, price, stock
           from products
          where product_id > $1
                -- the index finds names with the same pairs of characters, ...
            and search_grams(name) @> search_grams($3)
                -- ... of which those hold the text; no character of it has a meaning of its own
            and position(lower(normalize($3, NFKC)) in lower(normalize(name, NFKC))) > 0
          order by product_id
          limit $2",
    )
    .bind(&page.after)
    .bind(page.limit())
    .bind(text)
    .fetch_all(&state.pool)
    .await?;
    Ok(rows)
}

/// One product.
#[utoipa::path(
    get,
    path = "/api/products/{productId}",
    operation_id = "showProduct",
    responses((status = 200, body = Product), Refused<(WithInput, FromPostgres, P001)>),
)]
async fn show(State(state): State<AppState>, PathId(product_id): PathId<ProductId>) -> Result<Json<Product>, Problem> {
    let row: Option<Product> =
        sqlx::query_as("select product_id, name, description, price, stock from products where product_id = $1")
            .bind(product_id.as_str())
            .fetch_optional(&state.pool)
            .await?;
    row.map(Json).ok_or_else(|| not_found(&product_id))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Stock {
    #[schema(value_type = String)]
    product_id: ProductId,
    stock: i64,
}

/// How many pieces there are now, from the database and no cache.
#[utoipa::path(
    get,
    path = "/api/products/{productId}/stock",
    operation_id = "showStock",
    responses((status = 200, body = Stock), Refused<(WithInput, FromPostgres, P001)>),
)]
async fn stock(State(state): State<AppState>, PathId(product_id): PathId<ProductId>) -> Result<Json<Stock>, Problem> {
    let stock: Option<i64> = sqlx::query_scalar("select stock from products where product_id = $1")
        .bind(product_id.as_str())
        .fetch_optional(&state.pool)
        .await?;
    let stock = stock.ok_or_else(|| not_found(&product_id))?;
    Ok(Json(Stock { product_id, stock }))
}

/// The same answer as the line gives to an order.
pub(super) fn not_found(product_id: &ProductId) -> Problem {
    Problem::new(Code::P001).with("productId", product_id.as_str().into())
}

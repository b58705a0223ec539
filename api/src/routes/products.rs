//! The catalogue. Stock is read where it is decided, never from a cache.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use common::ProductId;
use serde::{Deserialize, Serialize};

use crate::error_table::Code;
use crate::extract::{Params, PathId};
use crate::limits::MAX_SEARCH_CHARS;
use crate::page::{Page, PageParams};
use crate::problem::Problem;
use crate::shape::Shape;
use crate::state::AppState;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/products", get(list))
        .route("/api/products/{productId}", get(show))
        .route("/api/products/{productId}/stock", get(stock))
}

#[derive(Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
struct Product {
    product_id: String,
    name: String,
    description: String,
    price: i64,
    stock: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Products {
    products: Vec<Product>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct ListParams {
    limit: Option<String>,
    cursor: Option<String>,
    q: Option<String>,
}

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

async fn show(State(state): State<AppState>, PathId(product_id): PathId<ProductId>) -> Result<Json<Product>, Problem> {
    let row: Option<Product> =
        sqlx::query_as("select product_id, name, description, price, stock from products where product_id = $1")
            .bind(product_id.as_str())
            .fetch_optional(&state.pool)
            .await?;
    row.map(Json).ok_or_else(|| not_found(&product_id))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stock {
    product_id: ProductId,
    stock: i64,
}

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

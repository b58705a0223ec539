//! Products: made, changed and restocked. A change applies at once, by a row lock and a relative update; it does not
//! stand in line, so that a paused lane can still be restocked.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use common::ProductId;
use common::limits::MAX_DESCRIPTION_CHARS;
use runtime::postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::audit_log::Change;
use super::change;
use crate::auth::Operator;
use crate::error_table::Code;
use crate::extract::{JsonBody, Params, PathId};
use crate::limits::MAX_STOCK_PIECES;
use crate::openapi::codes::{P001, X004};
use crate::openapi::{OfOperator, Refused, WithBody, WithInput};
use crate::page::PageParams;
use crate::problem::Problem;
use crate::routes::products::not_found;
use crate::shape::Shape;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(edit)).routes(routes!(restock))
}

#[derive(Debug, Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminProduct)]
struct Product {
    product_id: String,
    name: String,
    description: String,
    price: i64,
    stock: i64,
    #[serde(skip)]
    last_ticket: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Product {
    /// What an operator can change, as the audit log shows it.
    fn shown(&self) -> Value {
        json!({"name": self.name, "description": self.description, "price": self.price, "stock": self.stock})
    }

    fn subject(&self) -> String {
        format!("product:{}", self.product_id)
    }
}

/// Where a product would be, the list of the popular ones is.
const POPULAR: &str = "popular";

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewProduct {
    #[schema(value_type = Option<String>)]
    product_id: Option<ProductId>,
    name: String,
    #[serde(default)]
    description: String,
    price: i64,
    stock: i64,
}

/// Makes a product.
#[utoipa::path(
    post,
    path = "/api/admin/products",
    operation_id = "createProduct",
    request_body = NewProduct,
    responses((status = 201, body = Product), Refused<(WithBody, OfOperator, X004)>),
)]
async fn create(
    State(state): State<AppState>,
    operator: Operator,
    JsonBody(new): JsonBody<NewProduct>,
) -> Result<(StatusCode, Json<Product>), Problem> {
    let mut shape = Shape::new();
    shape.name(&new.name);
    shape.text("description", &new.description, 0..=MAX_DESCRIPTION_CHARS);
    shape.amount("price", new.price);
    shape.range("stock", new.stock, 0..=MAX_STOCK_PIECES);
    let is_free = new.product_id.as_ref().is_none_or(|id| id.as_str() != POPULAR);
    shape.demand(is_free, "productId", "is where the popular products are");
    shape.checked()?;
    let product_id = new.product_id.map_or_else(|| Uuid::now_v7().to_string(), |id| id.to_string());

    let mut transaction = change(&state.pool).await?;
    let product: Option<Product> = sqlx::query_as(
        "insert into products (product_id, name, description, price, stock, stocked)
         values ($1, $2, $3, $4, $5, $5)
         on conflict do nothing
         returning product_id, name, description, price, stock, last_ticket, created_at, updated_at",
    )
    .bind(&product_id)
    .bind(&new.name)
    .bind(&new.description)
    .bind(new.price)
    .bind(new.stock)
    .fetch_optional(&mut *transaction)
    .await?;
    let product = product.ok_or_else(|| Problem::new(Code::X004))?;
    let record = Change {
        operator: &operator,
        action: "product.create",
        subject: product.subject(),
        before: None,
        after: Some(product.shown()),
        last_ticket: Some(product.last_ticket),
    };
    record.record(&mut transaction).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(product)))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ProductEdit)]
struct Edit {
    name: Option<String>,
    description: Option<String>,
    price: Option<i64>,
}

/// Changes what a product is called and costs.
#[utoipa::path(
    patch,
    path = "/api/admin/products/{productId}",
    operation_id = "changeProduct",
    request_body = Edit,
    responses((status = 200, body = Product), Refused<(WithBody, OfOperator, P001)>),
)]
async fn edit(
    State(state): State<AppState>,
    operator: Operator,
    PathId(product_id): PathId<ProductId>,
    JsonBody(edit): JsonBody<Edit>,
) -> Result<Json<Product>, Problem> {
    let mut shape = Shape::new();
    if let Some(name) = &edit.name {
        shape.name(name);
    }
    if let Some(description) = &edit.description {
        shape.text("description", description, 0..=MAX_DESCRIPTION_CHARS);
    }
    if let Some(price) = edit.price {
        shape.amount("price", price);
    }
    shape.checked()?;

    let mut transaction = change(&state.pool).await?;
    let before = locked(&mut transaction, &product_id).await?;
    let after: Product = sqlx::query_as(
        "update products
            set name = coalesce($2, name), description = coalesce($3, description), price = coalesce($4, price),
                updated_at = now()
          where product_id = $1
         returning product_id, name, description, price, stock, last_ticket, created_at, updated_at",
    )
    .bind(product_id.as_str())
    .bind(edit.name)
    .bind(edit.description)
    .bind(edit.price)
    .fetch_one(&mut *transaction)
    .await?;
    if after.shown() == before.shown() {
        return Ok(Json(before));
    }
    record(&mut transaction, &operator, "product.edit", &before, &after).await?;
    transaction.commit().await?;
    Ok(Json(after))
}

#[derive(Deserialize, ToSchema)]
struct Restock {
    delta: i64,
}

/// Adds pieces to the stock, or takes some away. A rise from 0 sends the restock mails.
#[utoipa::path(
    post,
    path = "/api/admin/products/{productId}/stock",
    operation_id = "restockProduct",
    request_body = Restock,
    responses((status = 200, body = Product), Refused<(WithBody, OfOperator, P001)>),
)]
async fn restock(
    State(state): State<AppState>,
    operator: Operator,
    PathId(product_id): PathId<ProductId>,
    JsonBody(Restock { delta }): JsonBody<Restock>,
) -> Result<Json<Product>, Problem> {
    let mut shape = Shape::new();
    shape.range("delta", delta, -MAX_STOCK_PIECES..=MAX_STOCK_PIECES);
    shape.checked()?;

    let mut transaction = change(&state.pool).await?;
    let before = locked(&mut transaction, &product_id).await?;
    let mut shape = Shape::new();
    let rule = format!("must leave a stock between 0 and {MAX_STOCK_PIECES}; it is {} now", before.stock);
    shape.demand((0..=MAX_STOCK_PIECES).contains(&(before.stock + delta)), "delta", rule);
    shape.checked()?;
    let after: Product = sqlx::query_as(
        "update products
            set stock = stock + $2, stocked = stocked + $2, updated_at = now()
          where product_id = $1
         returning product_id, name, description, price, stock, last_ticket, created_at, updated_at",
    )
    .bind(product_id.as_str())
    .bind(delta)
    .fetch_one(&mut *transaction)
    .await?;
    if after.shown() == before.shown() {
        return Ok(Json(before));
    }
    if before.stock == 0 {
        tell_who_waits(&mut transaction, &product_id).await?;
    }
    record(&mut transaction, &operator, "product.restock", &before, &after).await?;
    transaction.commit().await?;
    Ok(Json(after))
}

/// The product was gone and is back. One row, however many wait for it: a worker writes their mails.
async fn tell_who_waits(transaction: &mut Transaction, product_id: &ProductId) -> Result<(), Problem> {
    sqlx::query(
        "insert into restocks (product_id, up_to_entry)
         select product_id, max(entry) from restock_registrations where product_id = $1 group by product_id",
    )
    .bind(product_id.as_str())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Takes the row's lock, as a batch does that holds the product's lane.
async fn locked(transaction: &mut Transaction, product_id: &ProductId) -> Result<Product, Problem> {
    let row: Option<Product> = sqlx::query_as(
        "select product_id, name, description, price, stock, last_ticket, created_at, updated_at
           from products
          where product_id = $1
            for no key update",
    )
    .bind(product_id.as_str())
    .fetch_optional(&mut **transaction)
    .await?;
    row.ok_or_else(|| not_found(product_id))
}

async fn record(
    transaction: &mut Transaction,
    operator: &Operator,
    action: &str,
    before: &Product,
    after: &Product,
) -> Result<(), Problem> {
    let change = Change {
        operator,
        action,
        subject: after.subject(),
        before: Some(before.shown()),
        after: Some(after.shown()),
        last_ticket: Some(before.last_ticket),
    };
    change.record(transaction).await
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminProducts)]
struct Products {
    products: Vec<Product>,
    next_cursor: Option<String>,
}

/// All products, by id.
#[utoipa::path(
    get,
    path = "/api/admin/products",
    operation_id = "listAllProducts",
    params(PageParams),
    responses((status = 200, body = Products), Refused<(WithInput, OfOperator)>),
)]
async fn list(
    State(state): State<AppState>,
    _: Operator,
    Params(params): Params<PageParams>,
) -> Result<Json<Products>, Problem> {
    let page = params.page::<ProductId>()?;
    let rows: Vec<Product> = sqlx::query_as(
        "select product_id, name, description, price, stock, last_ticket, created_at, updated_at
           from products
          where product_id > $1
          order by product_id
          limit $2",
    )
    .bind(&page.after)
    .bind(page.limit())
    .fetch_all(&state.pool)
    .await?;
    let (products, next_cursor) = page.cut(rows, |row| &row.product_id);
    Ok(Json(Products { products, next_cursor }))
}

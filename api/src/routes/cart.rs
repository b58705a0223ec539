//! A shopper's cart. It reserves nothing: stock is looked at when something is put in and when the cart is shown, and
//! decided when the order is.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use common::limits::{MAX_CART_LINES, MAX_QUANTITY_PIECES};
use common::{InsufficientItem, ProductId, Refusal, UserId, Won};
use runtime::postgres::{Timeouts, Transaction, begin};
use serde::{Deserialize, Serialize};

use super::products::not_found;
use crate::error_table::Code;
use crate::extract::{JsonBody, Params, PathId};
use crate::problem::Problem;
use crate::shape::Shape;
use crate::state::AppState;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/cart", get(show))
        .route("/api/cart/items", post(add))
        .route("/api/cart/items/{productId}", patch(change).delete(remove))
}

#[derive(Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
struct Item {
    product_id: String,
    product_name: String,
    price: Won,
    quantity: i64,
    subtotal: Won,
    stock: i64,
    /// Whether there is enough in stock for the quantity.
    available: bool,
}

/// The columns of [`Item`], from a cart line and its product.
macro_rules! item_columns {
    () => {
        "product_id, name as product_name, price, quantity, price * quantity as subtotal, stock, \
         quantity <= stock as available"
    };
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cart {
    user_id: UserId,
    items: Vec<Item>,
    total_amount: Won,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfUser {
    user_id: Option<String>,
}

async fn show(
    State(state): State<AppState>,
    headers: HeaderMap,
    Params(params): Params<OfUser>,
) -> Result<Json<Cart>, Problem> {
    let user_id = state.auth.shopper(&headers, params.user_id).await?;
    let items: Vec<Item> = sqlx::query_as(concat!(
        "select ",
        item_columns!(),
        " from cart_items
          join products using (product_id)
         where user_id = $1
         order by added_at, product_id"
    ))
    .bind(user_id.as_str())
    .fetch_all(&state.pool)
    .await?;
    let total_amount = items.iter().map(|item| item.subtotal).sum();
    Ok(Json(Cart { user_id, items, total_amount }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewItem {
    user_id: Option<UserId>,
    product_id: ProductId,
    quantity: i64,
}

async fn add(
    State(state): State<AppState>,
    headers: HeaderMap,
    JsonBody(new): JsonBody<NewItem>,
) -> Result<(StatusCode, Json<Item>), Problem> {
    check_quantity(new.quantity)?;
    let user_id = state.auth.caller(&headers).await?.acts_for(new.user_id)?;
    let mut transaction = begin(&state.pool, Timeouts::CHANGE).await?;
    let product = Product::find(&mut transaction, &new.product_id).await?;
    // Who puts the same product in twice wants the sum, also when both come at once.
    let put_in: Option<(i64, i64)> = sqlx::query_as(
        "insert into cart_items as line (user_id, product_id, quantity)
         values ($1, $2, $3)
         on conflict (user_id, product_id) do update
            set quantity = line.quantity + excluded.quantity, changed_at = clock_timestamp()
          where line.quantity + excluded.quantity <= $4
         returning quantity, (select count(*) from cart_items where user_id = $1 and product_id <> $2) + 1",
    )
    .bind(user_id.as_str())
    .bind(new.product_id.as_str())
    .bind(new.quantity)
    .bind(MAX_QUANTITY_PIECES)
    .fetch_optional(&mut *transaction)
    .await?;
    let (quantity, lines) = put_in.ok_or_else(|| {
        Problem::field("quantity", format!("must not come to more than {MAX_QUANTITY_PIECES} with what is in the cart"))
    })?;
    product.check_stock(quantity)?;
    let mut shape = Shape::new();
    shape.demand(lines <= MAX_CART_LINES, "productId", format!("a cart holds at most {MAX_CART_LINES} products"));
    shape.checked()?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(product.in_cart(quantity))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    user_id: Option<UserId>,
    quantity: i64,
}

async fn change(
    State(state): State<AppState>,
    PathId(product_id): PathId<ProductId>,
    headers: HeaderMap,
    JsonBody(change): JsonBody<Change>,
) -> Result<Json<Item>, Problem> {
    check_quantity(change.quantity)?;
    let user_id = state.auth.caller(&headers).await?.acts_for(change.user_id)?;
    let mut transaction = begin(&state.pool, Timeouts::CHANGE).await?;
    let changed = sqlx::query(
        "update cart_items
            set quantity = $3, changed_at = clock_timestamp()
          where user_id = $1 and product_id = $2",
    )
    .bind(user_id.as_str())
    .bind(product_id.as_str())
    .bind(change.quantity)
    .execute(&mut *transaction)
    .await?;
    if changed.rows_affected() == 0 {
        return Err(not_in_cart(&product_id));
    }
    let product = Product::find(&mut transaction, &product_id).await?;
    product.check_stock(change.quantity)?;
    transaction.commit().await?;
    Ok(Json(product.in_cart(change.quantity)))
}

async fn remove(
    State(state): State<AppState>,
    PathId(product_id): PathId<ProductId>,
    headers: HeaderMap,
    Params(params): Params<OfUser>,
) -> Result<StatusCode, Problem> {
    let user_id = state.auth.shopper(&headers, params.user_id).await?;
    let removed = sqlx::query("delete from cart_items where user_id = $1 and product_id = $2")
        .bind(user_id.as_str())
        .bind(product_id.as_str())
        .execute(&state.pool)
        .await?;
    if removed.rows_affected() == 0 { Err(not_in_cart(&product_id)) } else { Ok(StatusCode::NO_CONTENT) }
}

fn check_quantity(quantity: i64) -> Result<(), Problem> {
    let mut shape = Shape::new();
    shape.range("quantity", quantity, 1..=MAX_QUANTITY_PIECES);
    shape.checked()
}

fn not_in_cart(product_id: &ProductId) -> Problem {
    Problem::new(Code::CART001).with("productId", product_id.as_str().into())
}

/// What a cart line is checked against.
#[derive(sqlx::FromRow)]
struct Product {
    #[sqlx(try_from = "String")]
    product_id: ProductId,
    name: String,
    price: Won,
    stock: i64,
}

impl Product {
    async fn find(transaction: &mut Transaction, product_id: &ProductId) -> Result<Product, Problem> {
        let row: Option<Product> =
            sqlx::query_as("select product_id, name, price, stock from products where product_id = $1")
                .bind(product_id.as_str())
                .fetch_optional(&mut **transaction)
                .await?;
        row.ok_or_else(|| not_found(product_id))
    }

    /// The same refusal as the line gives to an order.
    fn check_stock(&self, quantity: i64) -> Result<(), Problem> {
        if quantity <= self.stock {
            return Ok(());
        }
        Err(Problem::refused(&Refusal::InsufficientStock {
            insufficient_items: vec![InsufficientItem {
                product_id: self.product_id.clone(),
                product_name: self.name.clone(),
                requested_quantity: quantity,
                available_stock: self.stock,
            }],
        }))
    }

    fn in_cart(self, quantity: i64) -> Item {
        Item {
            product_id: self.product_id.to_string(),
            product_name: self.name,
            price: self.price,
            quantity,
            subtotal: self.price * quantity,
            stock: self.stock,
            available: quantity <= self.stock,
        }
    }
}

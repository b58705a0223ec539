//! A shopper's cart. It reserves nothing: stock is looked at when something is put in and when the cart is shown, and
//! decided when the order is.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use common::limits::{MAX_CART_LINES, MAX_QUANTITY_PIECES};
use common::{InsufficientItem, ProductId, Refusal, UserId, Won};
use runtime::postgres::{Timeouts, Transaction, alone, begin};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::products::not_found;
use crate::error_table::Code;
use crate::extract::{JsonBody, Params, PathId};
use crate::openapi::codes::{CART001, P001, P002};
use crate::openapi::{OfShopper, Refused, WithBody, WithInput};
use crate::page::Whose;
use crate::problem::Problem;
use crate::shape::Shape;
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(add)).routes(routes!(change, remove))
}

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CartItem)]
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

/// The lock under which lines are put into one cart; any number that nobody else uses.
const CART_LOCK: i64 = 0x0063_6172_7401;

/// The columns of [`Item`], from a cart line and its product.
macro_rules! item_columns {
    () => {
        "product_id, name as product_name, price, quantity, price * quantity as subtotal, stock, \
         quantity <= stock as available"
    };
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Cart {
    #[schema(value_type = String)]
    user_id: UserId,
    items: Vec<Item>,
    total_amount: Won,
}

/// The cart, with what is in stock now.
#[utoipa::path(
    get,
    path = "/api/cart",
    operation_id = "showCart",
    params(Whose),
    responses((status = 200, body = Cart), Refused<(WithInput, OfShopper)>),
)]
async fn show(
    State(state): State<AppState>,
    headers: HeaderMap,
    Params(params): Params<Whose>,
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

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewCartItem)]
struct NewItem {
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[schema(value_type = String)]
    product_id: ProductId,
    quantity: i64,
}

/// Puts a product into the cart; the same product again adds up.
#[utoipa::path(
    post,
    path = "/api/cart/items",
    operation_id = "addToCart",
    request_body = NewItem,
    responses((status = 201, body = Item), Refused<(WithBody, OfShopper, P001, P002)>),
)]
async fn add(
    State(state): State<AppState>,
    headers: HeaderMap,
    JsonBody(new): JsonBody<NewItem>,
) -> Result<(StatusCode, Json<Item>), Problem> {
    check_quantity(new.quantity)?;
    let user_id = state.auth.caller(&headers).await?.acts_for(new.user_id)?;
    let mut transaction = begin(&state.pool, Timeouts::CHANGE).await?;
    // Two that come at once with different products would each count the lines without the other's, and go beyond the bound.
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, $2))")
        .bind(user_id.as_str())
        .bind(CART_LOCK)
        .execute(&mut *transaction)
        .await?;
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

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CartItemChange)]
struct Change {
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    quantity: i64,
}

/// Changes how many pieces of a product are in the cart.
#[utoipa::path(
    patch,
    path = "/api/cart/items/{productId}",
    operation_id = "changeCartItem",
    request_body = Change,
    responses((status = 200, body = Item), Refused<(WithBody, OfShopper, P001, P002, CART001)>),
)]
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

/// Takes a product out of the cart.
#[utoipa::path(
    delete,
    path = "/api/cart/items/{productId}",
    operation_id = "removeFromCart",
    params(Whose),
    responses((status = 204, description = "It is out."), Refused<(WithInput, OfShopper, CART001)>),
)]
async fn remove(
    State(state): State<AppState>,
    PathId(product_id): PathId<ProductId>,
    headers: HeaderMap,
    Params(params): Params<Whose>,
) -> Result<StatusCode, Problem> {
    let user_id = state.auth.shopper(&headers, params.user_id).await?;
    let removed = sqlx::query("delete from cart_items where user_id = $1 and product_id = $2")
        .bind(user_id.as_str())
        .bind(product_id.as_str())
        .execute(alone(&state.pool))
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

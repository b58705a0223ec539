//! All that is answered. One file per feature; the operators' endpoints stand below [`admin`].

use axum::Router;
use runtime::readiness::{Readiness, health_routes};
use utoipa_axum::router::OpenApiRouter;

use crate::door::Door;
use crate::error_table::Code;
use crate::openapi;
use crate::problem::Problem;
use crate::state::AppState;

pub mod admin;
mod balance;
mod cart;
mod coupons;
mod orders;
mod pages;
mod popular;
mod products;
mod requests;
mod restock;
mod wallet;

/// Every route, as metrics know it: its method and its pattern. A test asks each of them.
pub const TABLE: [(&str, &str); 55] = [
    ("GET", "/api/products"),
    ("GET", "/api/products/popular"),
    ("GET", "/api/products/{productId}"),
    ("GET", "/api/products/{productId}/stock"),
    ("POST", "/api/products/{productId}/restock-notification"),
    ("GET", "/api/coupons"),
    ("POST", "/api/coupons/{couponId}/issue"),
    ("POST", "/api/coupons/validate"),
    ("GET", "/api/users/coupons"),
    ("GET", "/api/cart"),
    ("POST", "/api/cart/items"),
    ("PATCH", "/api/cart/items/{productId}"),
    ("DELETE", "/api/cart/items/{productId}"),
    ("GET", "/api/orders"),
    ("POST", "/api/orders"),
    ("GET", "/api/orders/{orderId}"),
    ("GET", "/api/users/balance"),
    ("GET", "/api/users/balance/history"),
    ("POST", "/api/users/balance/charge"),
    ("GET", "/api/requests/{requestId}"),
    ("GET", "/api/requests/{requestId}/events"),
    ("GET", "/api/admin/products"),
    ("POST", "/api/admin/products"),
    ("PATCH", "/api/admin/products/{productId}"),
    ("POST", "/api/admin/products/{productId}/stock"),
    ("GET", "/api/admin/coupons"),
    ("POST", "/api/admin/coupons"),
    ("PATCH", "/api/admin/coupons/{couponId}"),
    ("GET", "/api/admin/users"),
    ("POST", "/api/admin/users"),
    ("GET", "/api/admin/lanes"),
    ("POST", "/api/admin/lanes/{lane}/pause"),
    ("POST", "/api/admin/lanes/{lane}/resume"),
    ("GET", "/api/admin/requests"),
    ("GET", "/api/admin/requests/{requestId}"),
    ("GET", "/api/admin/sync-failures"),
    ("POST", "/api/admin/sync-failures/retry-all"),
    ("POST", "/api/admin/sync-failures/{orderId}/retry"),
    ("POST", "/api/admin/sync-failures/{orderId}/resolve"),
    ("GET", "/api/admin/charges"),
    ("POST", "/api/admin/charges/{chargeId}/resolve"),
    ("GET", "/api/admin/alerts"),
    ("POST", "/api/admin/alerts/{alertId}/resolve"),
    ("GET", "/api/admin/audit"),
    ("GET", "/api/admin/audit-log"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/{file}"),
    ("GET", "/"),
    ("GET", "/admin"),
    ("GET", "/web/settings"),
    ("POST", "/web/tokens"),
    ("GET", "/web/{folder}/{file}"),
];

/// The routes of the shop, with what the document says of them.
pub fn described() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(products::routes())
        .merge(popular::routes())
        .merge(restock::routes())
        .merge(coupons::routes())
        .merge(orders::routes())
        .merge(wallet::routes())
        .merge(balance::routes())
        .merge(cart::routes())
        .merge(requests::routes())
        .merge(admin::routes())
        .merge(pages::routes())
}

/// All routes behind the door.
pub fn all(state: AppState, readiness: Readiness, door: Door) -> Router {
    Router::from(described())
        .with_state(state)
        .merge(health_routes(readiness))
        .merge(openapi::routes())
        .fallback(|| async { Problem::new(Code::X001) })
        .method_not_allowed_fallback(|| async { Problem::new(Code::X002) })
        .layer(door)
}

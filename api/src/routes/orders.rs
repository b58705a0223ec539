//! Orders.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use common::{Command, CouponId, OrderItem, PlaceOrder, UserId, Won};
use serde::Deserialize;

use crate::auth::Caller;
use crate::extract::{JsonBody, Object};
use crate::problem::Problem;
use crate::state::AppState;
use crate::submit::{Wishes, submit};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/orders", post(place))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    user_id: Option<UserId>,
    items: Vec<Object<OrderItem>>,
    coupon_id: Option<CouponId>,
    final_amount: Option<Won>,
}

async fn place(
    State(state): State<AppState>,
    headers: HeaderMap,
    JsonBody(order): JsonBody<Order>,
) -> Result<Response, Problem> {
    let wishes = Wishes::read(&headers)?;
    let caller = state.auth.caller(&headers);
    let (caller, order) = order.checked(caller)?;
    submit(&state, wishes, caller, Command::PlaceOrder(order)).await
}

impl Order {
    /// Shape before identity: what is wrong with the order is told to anybody.
    fn checked(self, caller: Result<Caller, Problem>) -> Result<(Caller, PlaceOrder), Problem> {
        let identified = caller.and_then(|caller| {
            let user_id = caller.acts_for(self.user_id.clone())?;
            Ok((caller, user_id))
        });
        let (user_id, identified) = match identified {
            Ok((caller, user_id)) => (user_id, Ok(caller)),
            // The order will not be placed, only looked at, in whoever's name.
            Err(problem) => (self.user_id.unwrap_or_else(nobody), Err(problem)),
        };
        let items = self.items.into_iter().map(|Object(item)| item).collect();
        let order = PlaceOrder::new(user_id, items, self.coupon_id, self.final_amount).map_err(Problem::fields)?;
        Ok((identified?, order))
    }
}

fn nobody() -> UserId {
    "nobody".parse().expect("letters are an id")
}

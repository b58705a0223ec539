//! What is sold to whom: made up, or real orders from files; and the same goods and people created in the shop.

mod create;
mod made_up;
mod open_house;
mod replay;

use std::fmt::Write as _;

use common::{CouponId, ProductId, UserId, Won};
use uuid::Uuid;

use crate::load::{Door, Header, Letter};

pub use create::{Created, create};
pub use made_up::{Size, made_up};
pub use open_house::open_house;
pub use replay::{Replay, ReplayError};

/// A product to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its id.
    pub product_id: ProductId,
    /// What shoppers call it.
    pub name: String,
    /// Its price.
    pub price: Won,
    /// Pieces on the shelf.
    pub stock: i64,
}

/// A shopper to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub user_id: UserId,
    /// The opening balance.
    pub balance: Won,
}

/// A campaign: one coupon, for those who come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Its id.
    pub coupon_id: CouponId,
    /// How many there are.
    pub total_quantity: i64,
    /// Off the price, in per cent.
    pub discount_percent: i64,
    /// The most that is taken off.
    pub max_discount: Won,
    /// The smallest order that it can be used for.
    pub min_order: Won,
}

/// An order to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Who orders.
    pub user_id: UserId,
    /// Products and pieces.
    pub items: Vec<(ProductId, i64)>,
    /// The coupon that the shopper wants to use.
    pub coupon_id: Option<CouponId>,
}

/// Everything that is sold, and everybody who buys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sale {
    /// The goods.
    pub products: Vec<Product>,
    /// The shoppers.
    pub users: Vec<User>,
    /// The campaign, if there is one.
    pub campaign: Option<Campaign>,
    /// Who claims its coupon, in the order of sending; each once.
    pub claims: Vec<UserId>,
    /// What is ordered, in the order of sending.
    pub orders: Vec<Order>,
}

/// How commands are sent.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Where to.
    pub door: Door,
    /// With an `Idempotency-Key` each: a connection that breaks costs nobody their place.
    pub with_keys: bool,
    /// With `Prefer: wait`: the answer comes when the outcome is known.
    pub waiting: bool,
}

impl Sale {
    /// The claims as they are sent.
    pub fn claim_letters(&self, manner: Manner) -> Vec<Letter> {
        let campaign = self.campaign.as_ref();
        campaign.map(|campaign| claims(&campaign.coupon_id, &self.claims, manner)).unwrap_or_default()
    }

    /// The orders as they are sent.
    pub fn order_letters(&self, manner: Manner) -> Vec<Letter> {
        self.orders.iter().map(|order| manner.post("/api/orders", &order.json())).collect()
    }
}

/// One claim of a coupon for each user.
pub fn claims(coupon_id: &CouponId, users: &[UserId], manner: Manner) -> Vec<Letter> {
    let path = format!("/api/coupons/{coupon_id}/issue");
    // Ids need no escaping, here and below: their alphabet has nothing that JSON or a path knows.
    users.iter().map(|user| manner.post(&path, &format!(r#"{{"userId":"{user}"}}"#))).collect()
}

impl Manner {
    fn post(&self, path: &str, json: &str) -> Letter {
        const HEADERS_MAX: usize = 2;
        let key = self.with_keys.then(|| Uuid::now_v7().to_string());
        let mut headers = Vec::with_capacity(HEADERS_MAX);
        headers.extend(key.as_deref().map(Header::Key));
        headers.extend(self.waiting.then_some(Header::Wait));
        Letter::post(&self.door, path, &headers, json)
    }
}

impl Order {
    /// The body of the request.
    fn json(&self) -> String {
        let mut json = format!(r#"{{"userId":"{}","items":["#, self.user_id);
        for (index, (product, quantity)) in self.items.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(json, r#"{comma}{{"productId":"{product}","quantity":{quantity}}}"#);
        }
        json.push(']');
        if let Some(coupon) = &self.coupon_id {
            let _ = write!(json, r#","couponId":"{coupon}""#);
        }
        json.push('}');
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_written_as_the_contract_says() {
        let order = |coupon_id: Option<&str>| Order {
            user_id: "u1".parse().unwrap(),
            items: vec![("P001".parse().unwrap(), 2), ("P.2".parse().unwrap(), 1)],
            coupon_id: coupon_id.map(|id| id.parse().unwrap()),
        };
        let items = serde_json::json!([{"productId": "P001", "quantity": 2}, {"productId": "P.2", "quantity": 1}]);
        let rows = [
            (order(None), serde_json::json!({"userId": "u1", "items": items})),
            (order(Some("C1")), serde_json::json!({"userId": "u1", "items": items, "couponId": "C1"})),
        ];
        for (order, meant) in rows {
            let json: serde_json::Value = serde_json::from_str(&order.json()).unwrap();
            assert_eq!(json, meant);
        }
    }
}

//! A whole shop with the world outside, for browsers to visit.

use reqwest::Method;
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use crate::programs;

pub use programs::{ADMIN_TOKEN, DEADLINE};

/// What orders are signed with.
const SYNC_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Both programs, their servers and the world outside. Fields end in this order.
pub struct Shop {
    programs: programs::Shop,
    pub world: Sandbox,
}

impl Shop {
    /// A shop that believes whoever is named.
    pub async fn open() -> Shop {
        Shop::open_with(|_| Vec::new()).await
    }

    /// A shop that wants tokens, which the sandbox issues.
    pub async fn open_with_tokens() -> Shop {
        let tokens = |world: &str| {
            vec![
                ("AUTH_MODE", "jwt".to_owned()),
                ("JWT_JWKS_URL", format!("{world}/.well-known/jwks.json")),
                ("DEMO_TOKENS_URL", format!("{world}/tokens")),
            ]
        };
        Shop::open_with(tokens).await
    }

    async fn open_with(auth: impl FnOnce(&str) -> Vec<(&'static str, String)>) -> Shop {
        let secret = SYNC_SECRET.parse().expect("a secret of this form");
        let world = Sandbox::start(Options { sync_secret: secret, ..Options::default() }).await.expect("a sandbox");
        let url = world.url();
        let told = [
            ("PAYMENT_GATEWAY_URL", url.clone()),
            ("PAYMENT_GATEWAY_SECRET", "sk_test_any".to_owned()),
            ("ORDER_SYNC_URL", format!("{url}/orders")),
            ("ORDER_SYNC_SECRET", SYNC_SECRET.to_owned()),
            // Nobody wants to wait for an hour until an operator is alerted.
            ("ORDER_SYNC_RETRY_DELAYS", "100ms,100ms,100ms".to_owned()),
            ("ALERT_WEBHOOK_URL", format!("{url}/alerts")),
            ("SMTP_URL", world.smtp_url()),
        ];
        let auth = auth(&url);
        let programs = programs::Shop::open_told(&borrowed(&auth), &borrowed(&told)).await;
        Shop { programs, world }
    }

    /// Where the storefront is.
    pub fn base(&self) -> &str {
        &self.programs.base
    }

    /// What an operator does; it must be done.
    pub async fn admin(&self, path: &str, body: Value) -> Value {
        self.programs.as_admin(path, &body).await
    }

    /// What the shop says to an operator.
    pub async fn admin_get(&self, path: &str) -> Value {
        self.programs.admin_get(path).await
    }

    /// What a shopper does with the outcome waited for, whatever it is.
    pub async fn shopper(&self, path: &str, body: Value) -> Value {
        self.programs.decided(self.programs.request(Method::POST, &format!("/api{path}")).json(&body)).await.1
    }

    /// What a shopper does without waiting.
    pub async fn submit(&self, path: &str, body: Value) -> Value {
        self.programs.send(Method::POST, &format!("/api{path}"), &body).await.1
    }

    /// What the shop says to a shopper.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.programs.get(&format!("/api{path}")).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub async fn product(&self, id: &str, name: &str, price: i64, stock: i64) {
        self.admin("/products", json!({"productId": id, "name": name, "price": price, "stock": stock})).await;
    }

    pub async fn user(&self, id: &str, balance: i64) {
        self.admin("/users", json!({"userId": id, "balance": balance})).await;
    }

    pub async fn coupon(&self, id: &str, name: &str, percent: i64, total: i64) {
        let coupon = json!({"couponId": id, "name": name, "discountType": "PERCENT", "discountValue": percent,
                            "totalQuantity": total, "validDays": 30});
        self.admin("/coupons", coupon).await;
    }
}

fn borrowed<'a>(told: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    told.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

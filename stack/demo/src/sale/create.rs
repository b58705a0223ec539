//! The goods and people of a sale, created over the admin API like any operator would.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use serde_json::json;

use super::{Campaign, Product, Sale, User};
use crate::admin::Admin;
use crate::load::{Connection, Letter};

/// Each creation is a transaction of its own, and several share one wait for the disk.
const CREATING_CONNECTIONS: usize = 32;

/// What became of the wish to create things.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Created {
    /// New ones.
    pub new: u64,
    /// Those that a kept data folder had already, and that stay as they are.
    pub known: u64,
}

/// Creates products, users and the campaign of a sale. `bar` moves by one for each.
///
/// # Errors
/// When the API refuses one of them for any reason but that it exists.
pub async fn create(admin: &Admin, sale: &Sale, bar: &ProgressBar) -> Result<Created> {
    let mut letters = Vec::with_capacity(sale.products.len() + sale.users.len() + 1);
    letters.extend(sale.products.iter().map(|product| admin.post("/api/admin/products", &product_json(product))));
    letters.extend(sale.users.iter().map(|user| admin.post("/api/admin/users", &user_json(user))));
    letters.extend(sale.campaign.iter().map(|campaign| admin.post("/api/admin/coupons", &campaign_json(campaign))));
    bar.set_length(letters.len() as u64);

    let next = AtomicUsize::new(0);
    let (new, known) = (AtomicU64::new(0), AtomicU64::new(0));
    let one_connection = || async {
        let mut connection = Connection::open(admin.door().address()).await?;
        while let Some(letter) = letters.get(next.fetch_add(1, Ordering::Relaxed)) {
            let counter = if create_one(&mut connection, letter).await? { &new } else { &known };
            counter.fetch_add(1, Ordering::Relaxed);
            bar.inc(1);
        }
        anyhow::Ok(())
    };
    let connections = CREATING_CONNECTIONS.min(letters.len());
    futures::future::try_join_all((0..connections).map(|_| one_connection())).await?;
    Ok(Created { new: new.into_inner(), known: known.into_inner() })
}

/// Whether it is new.
async fn create_one(connection: &mut Connection, letter: &Letter) -> Result<bool> {
    let answer = connection.send(letter).await.context("creating goods and people")?;
    match answer.status {
        201 => Ok(true),
        409 => Ok(false),
        status => bail!("the API refused to create something: {status} {}", String::from_utf8_lossy(answer.body)),
    }
}

fn product_json(product: &Product) -> serde_json::Value {
    let Product { product_id, name, price, stock } = product;
    json!({"productId": product_id, "name": name, "price": price, "stock": stock})
}

fn user_json(user: &User) -> serde_json::Value {
    json!({"userId": user.user_id, "name": user.user_id, "balance": user.balance})
}

/// How long a claimed coupon is good for: one that never expires would cost less to write than a real one.
const VALID_DAYS: u32 = 30;

fn campaign_json(campaign: &Campaign) -> serde_json::Value {
    json!({
        "couponId": campaign.coupon_id,
        "name": format!("Flash sale, {} % off", campaign.discount_percent),
        "discountType": "PERCENT",
        "discountValue": campaign.discount_percent,
        "maxDiscountAmount": campaign.max_discount,
        "minOrderAmount": campaign.min_order,
        "totalQuantity": campaign.total_quantity,
        "validDays": VALID_DAYS,
    })
}

//! The world outside: it is asked nothing twice, followed nowhere, and read no further than need be.

use anyhow::{Result, ensure};
use reqwest::Method;
use sandbox::{Mode, Target, Totals};
use serde_json::json;
use uuid::Uuid;

use super::{FAILED, LASTS, Scene, felt, network, pause};
use crate::house::{Between, House};
use crate::wire::Trouble;

/// Shoppers who want to hear of a product.
const LISTENERS: usize = 3;

/// So much of a flood of 100 MB can be sent at most, in bytes, to whoever reads 64 KiB of it: the rest is what the sender and the
/// sockets of both sides keep until the reader hangs up.
const FLOODED_MAX_BYTES: u64 = 16 * 1024 * 1024;

pub(super) async fn orders(house: &House, mode: Mode) -> Result<()> {
    meet(house, Target::Orders, mode, |totals| totals.orders).await
}

pub(super) async fn gateway(house: &House, mode: Mode) -> Result<()> {
    meet(house, Target::Gateway, mode, |totals| totals.payments).await
}

/// A part behaves like this for a while, and somebody meets it.
async fn meet(house: &House, target: Target, mode: Mode, came: impl Fn(Totals) -> u64) -> Result<()> {
    let totals = || house.world.arrived_totals();
    house.world.set_fault(target, mode)?;
    let before = totals();
    let felt = felt(&format!("somebody to ask {target:?}"), async || Ok(came(totals()) > came(before))).await;
    pause(LASTS).await;
    house.world.set_fault(target, Mode::Ok)?;
    let after = totals();
    ensure!(after.followed == before.followed, "{} redirects were followed", after.followed - before.followed);
    ensure!(after.flooded <= FLOODED_MAX_BYTES, "{} bytes of a flood could be sent", after.flooded);
    felt
}

/// A mail is to be sent while the mail server behaves like this.
pub(super) async fn mail(house: &House, mode: Mode) -> Result<()> {
    let product = want_mails(house).await?;
    let met = || {
        let totals = house.world.arrived_totals();
        totals.mails + totals.turned_away
    };
    house.world.set_fault(Target::Mail, mode)?;
    let before = met();
    come_back(house, &product).await?;
    let felt = felt("a mail to be sent", async || Ok(met() > before)).await;
    pause(LASTS).await;
    house.world.set_fault(Target::Mail, Mode::Ok)?;
    felt
}

/// The same while this happens on the way there, to all: whoever could still send would send them all.
pub(super) async fn mail_over(scene: Scene<'_>, trouble: Trouble) -> Result<()> {
    let product = want_mails(scene.house).await?;
    let on_all = Scene { dice: 0, ..scene };
    let striking = network::strike(on_all, Between::WorkersAndMail, trouble);
    let (struck, came_back) = tokio::join!(striking, come_back(scene.house, &product));
    struck.and(came_back)
}

/// An alert is to be sent while whoever hears of them behaves like this.
pub(super) async fn alerts(house: &House, mode: Mode) -> Result<()> {
    house.world.set_fault(Target::Alerts, mode)?;
    let met = while_orders_fail(house, meet_alerts(house)).await;
    house.world.set_fault(Target::Alerts, Mode::Ok)?;
    met
}

async fn meet_alerts(house: &House) -> Result<()> {
    let came = || house.world.arrived_totals().alerts;
    let before = came();
    felt("an alert to be sent", async || Ok(came() > before)).await?;
    pause(LASTS).await;
    Ok(())
}

/// The same while this happens on the way there, to all.
pub(super) async fn alerts_over(scene: Scene<'_>, trouble: Trouble) -> Result<()> {
    let on_all = Scene { dice: 0, ..scene };
    while_orders_fail(scene.house, network::strike(on_all, Between::WorkersAndAlerts, trouble)).await
}

/// An order that is never taken is what alerts are about.
async fn while_orders_fail(house: &House, meanwhile: impl Future<Output = Result<()>>) -> Result<()> {
    house.world.set_fault(Target::Orders, Mode::Fail { status: FAILED })?;
    let done = meanwhile.await;
    house.world.set_fault(Target::Orders, Mode::Ok)?;
    done
}

/// A product that is gone, of which some want to hear; its id.
async fn want_mails(house: &House) -> Result<String> {
    let product = format!("M{}", Uuid::now_v7().simple());
    let new = json!({"productId": product, "name": product, "price": 100, "stock": 0});
    house.admin(Method::POST, "/products", Some(&new)).await?;
    for number in 0..LISTENERS {
        let wish = json!({"userId": format!("user{number}"), "email": format!("user{number}@example.com")});
        let (status, body) = house.shopper(&format!("/api/products/{product}/restock-notification"), &wish).await?;
        ensure!(status == 201, "a wish to be told was answered {status}: {body}");
    }
    Ok(product)
}

async fn come_back(house: &House, product: &str) -> Result<()> {
    house.admin(Method::POST, &format!("/products/{product}/stock"), Some(&json!({"delta": 1}))).await?;
    Ok(())
}

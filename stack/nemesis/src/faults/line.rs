//! One lane of the line. All others must keep their pace meanwhile, so each of these lasts for as long as it takes to see.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::{Group, RequestId};
use lanes::{Append, Lanes, LineLimits, Link, Servers};
use reqwest::Method;
use runtime::archive::PostgresArchive;
use tokio::time::Instant;
use uuid::Uuid;

use super::{felt, pause, postgres};
use crate::house::House;
use crate::load::{Load, WIDE};

/// How long others are looked at: many slices of time, so that a busy machine does not decide.
const LOOKED_AT: Duration = Duration::from_secs(8);

/// Commands that cannot be read, one after the other. Far fewer than would hold the whole group.
const POISON_MAX: usize = 5;

/// What no worker can read.
const UNREADABLE: &[u8] = b"{\"version\":1,\"command\":null}";

/// As long as any line here gets.
const LINE_MAX: u64 = 1_000_000;

/// So many must want the same for it to be hot.
const HOT_MIN: i64 = 20;

/// A lane in which commands stand that cannot be read.
pub(super) enum Lane<'a> {
    /// That of the coupon which everybody claims.
    Coupon,
    /// That of a product.
    Product(&'a str),
}

pub(super) async fn hold_coupon(house: &House) -> Result<()> {
    postgres::hold(house, &format!("select from coupons where coupon_id = '{WIDE}' for update"), LOOKED_AT).await
}

pub(super) async fn hold_product(house: &House, product: &str) -> Result<()> {
    postgres::hold(house, &format!("select from products where product_id = '{product}' for update"), LOOKED_AT).await
}

pub(super) async fn pause_lane(house: &House) -> Result<()> {
    let lane = format!("/lanes/coupon:{WIDE}");
    house.admin(Method::POST, &format!("{lane}/pause"), None).await?;
    let felt = felt("somebody to stand behind a lane that is held", async || Ok(house.waiting().await? > 0)).await;
    pause(LOOKED_AT).await;
    let waited = house.waiting().await;
    house.admin(Method::POST, &format!("{lane}/resume"), None).await?;
    felt?;
    ensure!(waited? > 0, "nobody stood behind a lane that was held");
    Ok(())
}

/// Puts commands into the lane that cannot be read: they are set aside, one after the other, and the lane goes on.
pub(super) async fn poison(house: &House, lane: &Lane<'_>) -> Result<()> {
    let (group, name) = match lane {
        Lane::Coupon => (Group::coupon(&WIDE.parse().context("a coupon")?, 1), format!("coupon:{WIDE}")),
        Lane::Product(id) => (Group::ORDER, format!("product:{id}")),
    };
    let line: lanes::Group = group.to_string().parse().context("a group")?;
    let limits = LineLimits::new(LINE_MAX);
    let archive = Arc::new(PostgresArchive::new(house.pool.clone()));
    let url = house.redis().url();
    let link = Link::new(Servers::new(&url, None)?, vec![line.clone()], limits, archive, None, 0);
    let lanes = Lanes::new(link, line, limits);
    let ends = Instant::now() + LOOKED_AT;
    for _ in 0..POISON_MAX {
        let id = RequestId::new(Uuid::now_v7(), group).as_uuid();
        let lane = vec![name.parse().context("a lane")?];
        let append = Append { id, lanes: lane, key: None, gate: None, quota: None, envelope: UNREADABLE.to_vec() };
        lanes.append(&[append]).await.context("appending what cannot be read")?;
        felt("what cannot be read to be set aside", async || {
            let parked = "select exists (select from parked_commands join requests using (request_id)
                                          where request_id = $1 and outcome ->> 'code' = 'X003')";
            let parked = sqlx::query_scalar(parked).bind(id).fetch_one(&house.pool).await;
            parked.context("looking for what was set aside")
        })
        .await?;
        if Instant::now() > ends {
            break;
        }
    }
    Ok(())
}

pub(super) async fn hot(house: &House, load: &Load) -> Result<()> {
    let lane = format!("product:{}", load.goods().hot());
    let wanted = async || {
        let wanted = "select count(*) from requests where lane_group = 'order' and $1 = any(lanes)";
        sqlx::query_scalar::<_, i64>(wanted).bind(&lane).fetch_one(&house.pool).await.context("counting orders")
    };
    let before = wanted().await?;
    load.set_hot(true);
    pause(LOOKED_AT).await;
    load.set_hot(false);
    let wanted = wanted().await? - before;
    ensure!(wanted >= HOT_MIN, "{wanted} orders wanted what was hot");
    Ok(())
}

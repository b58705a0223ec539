//! Three masters, three replicas, and coupons spread over three groups.

use std::collections::BTreeSet;
use std::time::Instant;

use common::Group;
use reqwest::Method;
use sandbox::{Options, Sandbox};
use serde_json::json;
use stack::{RedisCluster, wait_for, wait_for_async};

use crate::Users;
use crate::load::{Accepted, Load, Wish, buyers, check_rows, check_tickets, lost_of};
use crate::receiver::Receiver;
use crate::shop::{DEADLINE, Shop, answer};

const MASTERS: usize = 3;

/// Groups of coupons: enough that they live on different nodes.
const GROUPS: u8 = 3;

/// Coupons that fall into different groups.
const COUPONS: [&str; 6] = ["C1", "C2", "C3", "C4", "C5", "C6"];

const PRODUCTS: [&str; 3] = ["A", "B", "C"];

/// What shoppers ask for meanwhile: claims, orders that share products in every way, and charges.
const WISHES: [Wish; 12] = [
    Wish::Claim(COUPONS[0]),
    Wish::Claim(COUPONS[1]),
    Wish::Claim(COUPONS[2]),
    Wish::Claim(COUPONS[3]),
    Wish::Claim(COUPONS[4]),
    Wish::Claim(COUPONS[5]),
    Wish::Order(["A", "B"]),
    Wish::Order(["B", "C"]),
    Wish::Order(["C", "A"]),
    Wish::Order(["B", "A"]),
    Wish::Charge,
    Wish::Charge,
];

/// More than are asked for: a sold-out coupon would be answered without the line.
const UNITS: i64 = 100_000;

/// What is accepted while a replica is cut off, of everything together.
const LATE: usize = 200;

fn coupons(spread: u8) -> Group {
    Group { kind: common::Kind::CouponIssue, spread }
}

/// Something of a group, by which its slot is found.
fn key_of(group: Group) -> String {
    format!("{{{group}}}:")
}

/// A shop in which both programs, or the workers, are told more.
async fn open(cluster: &RedisCluster, users: &Users, both: &[(&str, &str)], workers: &[(&str, &str)]) -> Shop {
    let ([url, workers_url], groups) = (users.urls(|login| cluster.url(login)), GROUPS.to_string());
    let mut both = both.to_vec();
    both.extend([("REDIS_URL", url.as_str()), ("COUPON_GROUPS", &groups)]);
    let mut workers = workers.to_vec();
    workers.push(("REDIS_URL", &workers_url));
    let shop = Shop::open_told(&both, &workers).await;
    for coupon in COUPONS {
        shop.coupon(coupon, UNITS).await;
    }
    shop
}

/// A shop in which all wishes come true.
async fn open_for_all(cluster: &RedisCluster, users: &Users, gateway: &Sandbox) -> Shop {
    let gateway = [("PAYMENT_GATEWAY_URL", gateway.url()), ("PAYMENT_GATEWAY_SECRET", "sk_test_any".to_owned())];
    let shop = open(cluster, users, &[], &gateway.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    for product in PRODUCTS {
        shop.as_admin("/products", &json!({"productId": product, "name": product, "price": 1, "stock": UNITS})).await;
    }
    buyers(&shop).await;
    shop
}

/// The node that had the group is followed by its replica.
fn followed(cluster: &RedisCluster, key: &str, node: usize) {
    wait_for("a replica to take over", DEADLINE, || cluster.master_of(key).filter(|now| *now != node));
}

/// The node that the data of this one is copied to: pairs stay together, whichever of the two is the master.
fn partner(node: usize) -> usize {
    (node + MASTERS) % (2 * MASTERS)
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_move_and_a_planned_failover_lose_nothing() {
    let users = Users::make();
    let cluster = RedisCluster::start(MASTERS, users.of_redis()).unwrap();
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let shop = open_for_all(&cluster, &users, &gateway).await;
    let homes: BTreeSet<_> = (0..GROUPS).map(|spread| cluster.master_of(&key_of(coupons(spread))).unwrap()).collect();
    assert!(homes.len() > 1, "all groups live on one node");
    let load = Load::start(&shop, "user", &WISHES);
    load.more(300).await;

    // Slots move key by key: meanwhile their group is refused whole, and never half done.
    for group in [coupons(0), Group::ORDER] {
        let (key, before) = (key_of(group), load.refused());
        let from = cluster.master_of(&key).unwrap();
        cluster.move_slot(&key, (from + 1) % MASTERS).unwrap();
        assert_ne!(cluster.master_of(&key), Some(from));
        load.more(300).await;
        assert!(load.refused() > before, "nobody noticed that the slot of {group} moved");
    }

    // A replica takes over in good order, and whoever asks the old master is sent on.
    for group in [coupons(1), Group::ORDER] {
        let key = key_of(group);
        let old = cluster.master_of(&key).unwrap();
        cluster.nodes()[partner(old)].command(&["CLUSTER", "FAILOVER"]).unwrap();
        followed(&cluster, &key, old);
        load.more(300).await;
    }

    let all = load.stop().await;
    let lost = lost_of(&shop, &all).await;
    assert!(lost.is_empty(), "{} of {} were lost: {lost:?}", lost.len(), all.len());
    check_tickets(&all, GROUPS);
    check_rows(&shop, &all).await;
    check_payments(&gateway, &all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_master_loses_is_unknown_and_may_be_sent_again() {
    let users = Users::make();
    let mut cluster = RedisCluster::start(MASTERS, users.of_redis()).unwrap();
    let gateway = Sandbox::start(Options::default()).await.unwrap();
    let mut shop = open_for_all(&cluster, &users, &gateway).await;
    let load = Load::start(&shop, "early", &WISHES);
    load.more(300).await;
    let mut all = load.stop().await;
    let lost = lost_of(&shop, &all).await;
    assert!(lost.is_empty(), "lost without a failover: {lost:?}");

    // What is accepted now by the master of the orders is on this node alone.
    let key = key_of(Group::ORDER);
    let dead = cluster.master_of(&key).unwrap();
    shop.workers.sigstop();
    cluster.node_mut(partner(dead)).sigstop();
    assert_eq!(cluster.nodes()[dead].command(&["CLIENT", "KILL", "TYPE", "replica"]).unwrap(), "1");
    let load = Load::start(&shop, "late", &WISHES);
    load.more(LATE).await;
    let its_own: BTreeSet<String> = WISHES
        .map(|wish| wish.group(GROUPS))
        .iter()
        .filter(|group| cluster.master_of(&key_of(**group)) == Some(dead))
        .map(Group::to_string)
        .collect();
    let before = load.refused();
    cluster.node_mut(dead).kill9();
    cluster.node_mut(partner(dead)).sigcont();
    followed(&cluster, &key, dead);
    let taken_over = Instant::now();
    shop.workers.sigcont();
    load.more(300).await;
    assert!(load.refused() > before, "nobody noticed that a master died");
    cluster.node_mut(dead).start_again().unwrap();
    cluster.works().unwrap();
    load.more(100).await;
    let late = load.stop().await;

    let lost = lost_of(&shop, &late).await;
    let orders = lost.iter().filter(|one| matches!(one.wish, Wish::Order(_))).count();
    assert!(orders > 0, "no order was lost, so this was no failover that loses something");
    for one in &lost {
        let group = one.wish.group(GROUPS).to_string();
        assert!(its_own.contains(&group), "{one:?} is lost, and {group} lives elsewhere");
        assert!(one.told < taken_over, "{one:?} was accepted by the new master, and is lost");
    }
    for one in &lost {
        let (status, body) = shop.decided(one.again(&shop)).await;
        assert!(status == 201 || status == 200, "{one:?}: {status} {body}");
    }
    all.extend(late);
    check_tickets(&all, GROUPS);
    check_rows(&shop, &all).await;
    check_payments(&gateway, &all);
}

/// Each card was charged once.
fn check_payments(gateway: &Sandbox, all: &[Accepted]) {
    let charges = all.iter().filter(|one| matches!(one.wish, Wish::Charge)).count();
    assert_eq!(gateway.arrived().ledger.len(), charges, "each card is charged once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_without_its_replica_closes_no_other_groups() {
    let users = Users::make();
    let mut cluster = RedisCluster::start(MASTERS, users.of_redis()).unwrap();
    let shop = open(&cluster, &users, &[("QUEUE_MIN_REPLICAS", "1")], &[]).await;
    let home = |coupon: &str| {
        let group = Group::coupon(&coupon.parse().unwrap(), GROUPS);
        cluster.master_of(&key_of(group)).unwrap()
    };
    let homes = COUPONS.map(home);
    let lonely = homes[0];
    assert!(homes.iter().any(|home| *home != lonely), "all groups live on one node");
    let accepts = async |coupon: &str, user: &str| match answer(shop.claim(coupon, user)).await.0 {
        202 => true,
        503 => false,
        status => panic!("{coupon}: {status}"),
    };
    for coupon in COUPONS {
        assert!(accepts(coupon, "before").await, "{coupon}");
    }

    cluster.node_mut(MASTERS + lonely).kill9();
    let readiness = async || answer(shop.http.get(format!("{}/readyz", shop.operators))).await;
    wait_for_async("the lack of a replica to be told", DEADLINE, async || {
        let (status, body) = readiness().await;
        assert_eq!(status, 200, "commands of the other groups would be kept away: {body}");
        body.to_string().contains("has 0 connected").then_some(())
    })
    .await;
    for (coupon, home) in COUPONS.iter().zip(homes) {
        assert_eq!(accepts(coupon, "meanwhile").await, home != lonely, "{coupon}");
    }
    let refused = shop.api.log().matches("has not shown that it keeps what it accepts").count();
    assert_eq!(refused, homes.iter().filter(|home| **home == lonely).count(), "refused at the door, before the line");

    cluster.node_mut(MASTERS + lonely).start_again().unwrap();
    wait_for_async("the groups to open again", DEADLINE, async || accepts(COUPONS[0], "after").await.then_some(()))
        .await;
    for coupon in COUPONS {
        assert!(accepts(coupon, "after").await, "{coupon}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn popular_products_and_announced_orders_find_their_node() {
    let users = Users::make();
    let cluster = RedisCluster::start(MASTERS, users.of_redis()).unwrap();
    let orders = Receiver::start().await;
    let sync =
        [("ORDER_SYNC_URL", orders.url.as_str()), ("ORDER_SYNC_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
    let shop = open(&cluster, &users, &[], &sync).await;
    shop.as_admin("/products", &json!({"productId": "P1", "name": "p", "price": 1, "stock": 9})).await;
    shop.as_admin("/users", &json!({"userId": "user1", "balance": 9})).await;
    let order = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 1}]});
    let (status, body) = shop.decided(shop.request(Method::POST, "/api/orders").json(&order)).await;
    assert_eq!(status, 201, "{body}");
    let (status, popular) = shop.get("/api/products/popular").await;
    assert_eq!(status, 200, "{popular}");
    // What is announced and done is soon deleted; that somebody listens stays.
    for key in ["popular:3days:5", "{core:apalis:queues:list}:order_sync:workers"] {
        wait_for("the node of a key to have it", DEADLINE, || {
            let node = cluster.master_of(key)?;
            (cluster.nodes()[node].command(&["EXISTS", key]).unwrap() == "1").then_some(())
        });
    }
    wait_for("the order to be sent", DEADLINE, || (!orders.received().is_empty()).then_some(()));
    let log = shop.workers.log();
    assert!(!log.contains("are found by the sweep"), "{log}");
}

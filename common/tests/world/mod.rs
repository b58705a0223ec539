//! Small shops with a line in front of them. So few ids, so little stock and so little money that the commands of one
//! line are always in each other's way.

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use common::{
    Accepted, ClaimCoupon, Command, Coupon, Decision, Discount, Needs, OrderItem, PlaceOrder, Product, RequestId,
    State, User, WalletEntry, decide, needs,
};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use uuid::Uuid;

/// Products, coupons and shoppers are numbered up to here.
const NUMBERS: RangeInclusive<u8> = 0..=2;

/// Commands are accepted within this many seconds, and everything that starts or ends does so around them.
const SECONDS: RangeInclusive<i64> = 0..=20;

/// The longest line.
const LINE_MAX_COMMANDS: usize = 14;

/// All rows of a shop, and the commands that wait in front of it.
#[derive(Debug, Clone)]
pub struct World {
    pub rows: State,
    pub line: Vec<Accepted>,
}

pub fn world() -> impl Strategy<Value = World> {
    (rows(), vec((command(), SECONDS), 0..=LINE_MAX_COMMANDS)).prop_map(|(rows, mut commands)| {
        commands.sort_by_key(|(_, second)| *second);
        let line = commands.into_iter().zip(1..);
        let line = line.map(|((command, second), ticket)| Accepted {
            request_id: RequestId::from_uuid(Uuid::from_u128(ticket.into())),
            ticket,
            accepted_at: at(second),
            command,
        });
        World { rows, line: line.collect() }
    })
}

pub fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

/// When everything is decided: no outcome may depend on it.
pub fn decided_at() -> DateTime<Utc> {
    at(1_000_000)
}

/// What a worker does: load the rows that are needed and no others, decide, write the changes.
pub fn work(rows: &mut State, batch: &[Accepted]) -> Decision {
    let mut loaded = load(rows, batch);
    let decision = decide(&mut loaded, batch, decided_at());
    rows.apply(&decision.changes);
    decision
}

/// The rows that the batch needs.
pub fn load(rows: &State, batch: &[Accepted]) -> State {
    let needs = needs(batch.iter().map(|accepted| &accepted.command));
    let mut loaded = State::absent(&needs);
    copy(&needs, rows, &mut loaded);
    loaded
}

fn copy(needs: &Needs, rows: &State, loaded: &mut State) {
    for id in &needs.products {
        loaded.insert_product(id.clone(), rows.product(id).cloned());
    }
    for id in &needs.users {
        let balance = rows.balance(id);
        loaded.insert_user(id.clone(), Some(User { balance }));
    }
    for id in needs.coupons.union(&needs.coupon_terms) {
        loaded.insert_coupon(id.clone(), rows.coupon(id).cloned());
    }
    for key in &needs.wallet {
        loaded.insert_wallet(key.clone(), rows.wallet_entry(&key.0, &key.1).cloned());
    }
}

pub fn id<T: FromStr<Err: Debug>>(letter: char, number: u8) -> T {
    format!("{letter}{number}").parse().expect("a valid id")
}

fn rows() -> impl Strategy<Value = State> {
    let count = usize::from(*NUMBERS.end()) + 1;
    (
        vec(weighted(0.9, product()), count),
        vec(of(0..=3_000_i64), count),
        vec(weighted(0.9, coupon()), count),
        vec(weighted(0.5, wallet_entry()), count * count),
    )
        .prop_map(|(products, balances, coupons, entries)| {
            let mut rows = State::new();
            for (number, product) in NUMBERS.zip(products) {
                rows.insert_product(id('P', number), product);
            }
            for (number, balance) in NUMBERS.zip(balances) {
                rows.insert_user(id('U', number), balance.map(|balance| User { balance }));
            }
            for (number, coupon) in NUMBERS.zip(coupons) {
                rows.insert_coupon(id('C', number), coupon);
            }
            let keys = NUMBERS.flat_map(|user| NUMBERS.map(move |coupon| (id('U', user), id('C', coupon))));
            for (key, entry) in keys.zip(entries) {
                rows.insert_wallet(key, entry);
            }
            rows
        })
}

fn product() -> impl Strategy<Value = Product> {
    (0..=4_i64, 0..=8_i64).prop_map(|(hundreds, stock)| Product {
        name: format!("for {hundreds}"),
        price: hundreds * 100,
        stock,
    })
}

fn coupon() -> impl Strategy<Value = Coupon> {
    let fixed = (1..=600_i64).prop_map(|amount| Discount::Fixed { amount });
    let percent = (1..=100_i64, of(0..=300_i64));
    let percent = percent.prop_map(|(percent, max_discount)| Discount::Percent { percent, max_discount });
    (
        prop_oneof![fixed, percent],
        prop_oneof![Just(0), 0..=800_i64],
        (0..=4_i64, 0..=4_i64),
        (weighted(0.3, SECONDS), weighted(0.3, SECONDS)),
        of(1..=2_i32),
    )
        .prop_map(|(discount, min_order_amount, (issued, left), (starts, ends), valid_days)| Coupon {
            discount,
            min_order_amount,
            total_quantity: issued + left,
            issued_quantity: issued,
            starts_at: starts.map(at),
            ends_at: ends.map(at),
            valid_days,
        })
}

fn wallet_entry() -> impl Strategy<Value = WalletEntry> {
    (any::<u64>(), weighted(0.3, SECONDS), prop::bool::weighted(0.2)).prop_map(|(number, ends, used)| WalletEntry {
        user_coupon_id: Uuid::from_u128(u128::from(number) << 64),
        expires_at: ends.map(at),
        used,
    })
}

fn command() -> impl Strategy<Value = Command> {
    let claim = (NUMBERS, NUMBERS).prop_map(|(user, coupon)| {
        Command::ClaimCoupon(ClaimCoupon { user_id: id('U', user), coupon_id: id('C', coupon) })
    });
    let line =
        (NUMBERS, 1..=2_i64).prop_map(|(product, quantity)| OrderItem { product_id: id('P', product), quantity });
    let seen = weighted(0.2, (0..=8_i64).prop_map(|hundreds| hundreds * 100));
    let order = (NUMBERS, vec(line, 1..=3), of(NUMBERS), seen).prop_map(|(user, lines, coupon, seen)| {
        let coupon_id = coupon.map(|number| id('C', number));
        let order = PlaceOrder::new(id('U', user), lines, coupon_id, seen);
        Command::PlaceOrder(order.expect("a valid order"))
    });
    prop_oneof![claim, order]
}

use chrono::{DateTime, Utc};

use super::{OrderItem, PlaceOrder};
use crate::changes::{CartRemoval, Changes, LedgerEntry, LedgerKind, Order, OrderLine, Used};
use crate::commands::Command;
use crate::decide::decide;
use crate::money::{Discount, Won};
use crate::needs::needs;
use crate::outcome::{InsufficientItem, NotApplicable, Outcome, Refusal, Success};
use crate::samples::{accepted, at, id, just_before, made_by};
use crate::state::{Coupon, Product, State, User, WalletEntry};

fn line(product: &str, quantity: i64) -> OrderItem {
    OrderItem { product_id: id(product), quantity }
}

/// A shop in which two of A and one of B cost 2,250 won, with the coupon 2,000, and nothing is in the way.
struct Shop {
    a: Option<Product>,
    b: Option<Product>,
    balance: Option<Won>,
    coupon: Option<Coupon>,
    held: Option<WalletEntry>,
    lines: Vec<OrderItem>,
    uses_coupon: bool,
    final_amount: Option<Won>,
    accepted_at: DateTime<Utc>,
}

fn product(name: &str, price: Won, stock: i64) -> Option<Product> {
    let name = name.to_owned();
    Some(Product { name, price, stock })
}

fn coupon() -> Coupon {
    Coupon {
        discount: Discount::Fixed { amount: 250 },
        min_order_amount: 2_250,
        total_quantity: 1,
        issued_quantity: 1,
        starts_at: None,
        // Over long ago for those who want to claim it; a unit in a wallet has an end of its own.
        ends_at: Some(at(10)),
        valid_days: None,
    }
}

fn held() -> WalletEntry {
    WalletEntry { user_coupon_id: made_by(1), expires_at: Some(at(200)), used: false }
}

fn shop() -> Shop {
    Shop {
        a: product("Apple", 1_000, 5),
        b: product("Pear", 250, 3),
        balance: Some(10_000),
        coupon: Some(coupon()),
        held: Some(held()),
        lines: vec![line("A", 2), line("B", 1)],
        uses_coupon: true,
        final_amount: None,
        accepted_at: at(150),
    }
}

impl Shop {
    fn decide(self) -> (State, State, Result<Success, Refusal>, Changes) {
        let coupon_id = self.uses_coupon.then(|| id("C1"));
        let order = PlaceOrder::new(id("u1"), self.lines, coupon_id, self.final_amount).expect("a valid order");
        let order = Command::PlaceOrder(order);
        let mut before = State::absent(&needs([&order]));
        before.insert_product(id("A"), self.a);
        before.insert_product(id("B"), self.b);
        before.insert_user(id("u1"), self.balance.map(|balance| User { balance }));
        before.insert_coupon(id("C1"), self.coupon);
        before.insert_wallet((id("u1"), id("C1")), self.held);
        let mut after = before.clone();
        let mut decision = decide(&mut after, &[accepted(7, self.accepted_at, order)], at(500));
        let outcome = match decision.outcomes.pop().expect("one outcome") {
            Outcome::Succeeded(success) => Ok(success),
            Outcome::Failed(refusal) => Err(refusal),
        };
        (before, after, outcome, decision.changes)
    }
}

fn refused(what: &str, shop: Shop, expected: Refusal) {
    let (before, after, outcome, changes) = shop.decide();
    assert_eq!(outcome, Err(expected), "{what}");
    assert_eq!(changes, Changes::default(), "{what}");
    assert_eq!(after, before, "{what}");
}

/// Total, discount, what was paid, what is left.
fn placed(what: &str, shop: Shop, expected: [Won; 4]) -> (State, Changes) {
    let (mut before, after, outcome, changes) = shop.decide();
    let [total_amount, discount_amount, final_amount, remaining_balance] = expected;
    let success =
        Success::OrderPlaced { order_id: made_by(7), total_amount, discount_amount, final_amount, remaining_balance };
    assert_eq!(outcome, Ok(success), "{what}");
    before.apply(&changes);
    assert_eq!(after, before, "{what}");
    (after, changes)
}

fn short(product: &str, name: &str, requested_quantity: i64, available_stock: i64) -> InsufficientItem {
    InsufficientItem { product_id: id(product), product_name: name.to_owned(), requested_quantity, available_stock }
}

fn insufficient(insufficient_items: Vec<InsufficientItem>) -> Refusal {
    Refusal::InsufficientStock { insufficient_items }
}

fn not_applicable(reason: NotApplicable) -> Refusal {
    Refusal::CouponNotApplicable { reason }
}

fn not_found(product: &str) -> Refusal {
    Refusal::ProductNotFound { product_id: id(product) }
}

#[test]
fn an_order_writes_everything_that_belongs_to_it() {
    let lines = vec![line("B", 1), line("A", 1), line("A", 1)];
    let (_, changes) = placed("with a coupon", Shop { lines, ..shop() }, [2_250, 250, 2_000, 8_000]);
    let expected = Changes {
        products: [(id("A"), 3), (id("B"), 2)].into(),
        users: [(id("u1"), 8_000)].into(),
        used: vec![Used { user_id: id("u1"), coupon_id: id("C1"), order_id: made_by(7), used_at: at(500) }],
        orders: vec![Order {
            order_id: made_by(7),
            user_id: id("u1"),
            total_amount: 2_250,
            discount_amount: 250,
            final_amount: 2_000,
            coupon_id: Some(id("C1")),
            created_at: at(500),
            lines: [("B", 1, 250), ("A", 2, 1_000)]
                .map(|(product, quantity, unit_price)| OrderLine { product_id: id(product), quantity, unit_price })
                .into(),
        }],
        ledger: vec![LedgerEntry {
            user_id: id("u1"),
            kind: LedgerKind::Order,
            amount: -2_000,
            balance_after: 8_000,
            reference_id: made_by(7),
            created_at: at(500),
        }],
        cart_removals: vec![CartRemoval {
            user_id: id("u1"),
            product_ids: vec![id("B"), id("A")],
            accepted_at: at(150),
        }],
        ..Changes::default()
    };
    assert_eq!(changes, expected);
}

#[test]
fn without_a_coupon_none_is_touched() {
    let uses_coupon = false;
    let (after, changes) = placed("no coupon", Shop { uses_coupon, ..shop() }, [2_250, 0, 2_250, 7_750]);
    assert_eq!(changes.used, []);
    assert_eq!(changes.orders[0].coupon_id, None);
    assert_eq!(after.wallet_entry(&id("u1"), &id("C1")), Some(&held()));
}

#[test]
fn what_costs_nothing_moves_no_money() {
    let discount = Discount::Fixed { amount: 9_000 };
    let coupon = Some(Coupon { discount, ..coupon() });
    for balance in [Some(0), None] {
        let given = Shop { coupon: coupon.clone(), balance, ..shop() };
        let (_, changes) = placed("the coupon pays it all", given, [2_250, 2_250, 0, 0]);
        assert_eq!((changes.ledger, changes.users), (vec![], [].into()));
        assert_eq!((changes.orders.len(), changes.used.len()), (1, 1));
    }
    let (a, b) = (product("Apple", 0, 5), product("Pear", 0, 3));
    let given = Shop { a, b, uses_coupon: false, balance: None, ..shop() };
    let (_, changes) = placed("a gift", given, [0, 0, 0, 0]);
    assert_eq!((changes.ledger, changes.users), (vec![], [].into()));
}

#[test]
fn p001_names_the_first_unknown_product() {
    refused("one", Shop { b: None, ..shop() }, not_found("B"));
    refused("both", Shop { a: None, b: None, ..shop() }, not_found("A"));
    let lines = vec![line("B", 1), line("A", 1)];
    refused("both, turned", Shop { a: None, b: None, lines, ..shop() }, not_found("B"));
    let a = product("Apple", 1_000, 0);
    refused("before P002", Shop { a, b: None, ..shop() }, not_found("B"));
}

#[test]
fn p002_lists_every_short_product() {
    let a = || product("Apple", 1_000, 1);
    let b = || product("Pear", 250, 0);
    let apple = || short("A", "Apple", 2, 1);
    let pear = || short("B", "Pear", 1, 0);
    refused("the first", Shop { a: a(), ..shop() }, insufficient(vec![apple()]));
    refused("the second", Shop { b: b(), ..shop() }, insufficient(vec![pear()]));
    let both = || insufficient(vec![apple(), pear()]);
    refused("both", Shop { a: a(), b: b(), ..shop() }, both());
    // Each line alone could be had: the mistake of checking line by line.
    let lines = vec![line("A", 3), line("B", 1), line("A", 3)];
    let summed = insufficient(vec![short("A", "Apple", 6, 5)]);
    refused("summed", Shop { lines, ..shop() }, summed);
    refused("before C002", Shop { a: a(), b: b(), coupon: None, held: None, ..shop() }, both());
}

#[test]
fn the_last_piece_can_be_had() {
    let (a, lines) = (product("Apple", 1_000, 2), vec![line("A", 2)]);
    let given = Shop { a, lines, uses_coupon: false, ..shop() };
    let (_, changes) = placed("all of A", given, [2_000, 0, 2_000, 8_000]);
    assert_eq!(changes.products, [(id("A"), 0)].into());
}

#[test]
fn a_coupon_must_fit() {
    let used = || WalletEntry { used: true, ..held() };
    let used_and_over = || WalletEntry { expires_at: Some(at(150)), ..used() };
    let over = || WalletEntry { expires_at: Some(at(150)), ..held() };
    let dear = || Some(Coupon { min_order_amount: 2_251, ..coupon() });
    refused("C002", Shop { coupon: None, ..shop() }, Refusal::CouponNotFound);
    refused("C002 first", Shop { coupon: None, held: None, ..shop() }, Refusal::CouponNotFound);
    let not_owned = || not_applicable(NotApplicable::NotOwned);
    refused("not owned", Shop { held: None, ..shop() }, not_owned());
    refused("not owned first", Shop { held: None, coupon: dear(), ..shop() }, not_owned());
    let already_used = || not_applicable(NotApplicable::AlreadyUsed);
    refused("used", Shop { held: Some(used()), ..shop() }, already_used());
    refused("used, over", Shop { held: Some(used_and_over()), ..shop() }, already_used());
    refused("C003", Shop { held: Some(over()), ..shop() }, Refusal::CouponExpired);
    refused("C003 first", Shop { held: Some(over()), coupon: dear(), ..shop() }, Refusal::CouponExpired);
    let below = || not_applicable(NotApplicable::BelowMinOrderAmount);
    refused("below", Shop { coupon: dear(), ..shop() }, below());
    let final_amount = Some(1);
    refused("below first", Shop { coupon: dear(), final_amount, ..shop() }, below());
}

#[test]
fn a_unit_is_over_at_the_instant_it_ends() {
    let refusal = Refusal::CouponExpired;
    refused("at its end", Shop { accepted_at: at(200), ..shop() }, refusal);
    let amounts = [2_250, 250, 2_000, 8_000];
    placed("just before", Shop { accepted_at: just_before(at(200)), ..shop() }, amounts);
    let endless = Some(WalletEntry { expires_at: None, ..held() });
    placed("never", Shop { accepted_at: at(1_000_000_000), held: endless, ..shop() }, amounts);
}

#[test]
fn o002_shows_both_sums() {
    let mismatch = |actual_amount| Refusal::AmountMismatch { expected_amount: 2_000, actual_amount };
    for seen in [0, 1_999, 2_001, 2_250] {
        let final_amount = Some(seen);
        refused("another sum", Shop { final_amount, ..shop() }, mismatch(seen));
    }
    let final_amount = Some(2_000);
    placed("the sum", Shop { final_amount, ..shop() }, [2_250, 250, 2_000, 8_000]);
    let (final_amount, balance) = (Some(1), Some(1));
    refused("before PAY001", Shop { final_amount, balance, ..shop() }, mismatch(1));
}

#[test]
fn pay001_says_what_is_missing() {
    fn missing(balance: Option<Won>, current_balance: Won, shortfall: Won) {
        let refusal = Refusal::InsufficientBalance { required_amount: 2_000, current_balance, shortfall };
        refused("too little", Shop { balance, ..shop() }, refusal);
    }
    missing(Some(1_999), 1_999, 1);
    missing(Some(0), 0, 2_000);
    missing(None, 0, 2_000);
    let balance = Some(2_000);
    placed("just enough", Shop { balance, ..shop() }, [2_250, 250, 2_000, 0]);
}

#[test]
fn a_price_out_of_bounds_refuses_the_order_and_does_not_stop_the_line() {
    let refusal = Refusal::InsufficientBalance {
        required_amount: Won::MAX,
        current_balance: 10_000,
        shortfall: Won::MAX - 10_000,
    };
    let a = product("Apple", Won::MAX, 5);
    refused("an absurd price", Shop { a, uses_coupon: false, ..shop() }, refusal);
}

#[test]
fn the_shape_is_checked_on_the_lines_as_sent() {
    fn check(lines: Vec<OrderItem>, final_amount: Option<Won>, expected: &[(&str, &str)]) {
        let made = PlaceOrder::new(id("u1"), lines, None, final_amount);
        let errors = made.err().unwrap_or_default();
        let errors: Vec<_> = errors.iter().map(|error| (error.field.as_str(), error.message.as_str())).collect();
        assert_eq!(errors, expected);
    }
    const LINES: (&str, &str) = ("items", "must have 1 to 50 lines");
    const QUANTITY: &str = "must be between 1 and 100000";
    const AMOUNT: (&str, &str) = ("finalAmount", "must be between 0 and 1000000000000");
    let many = |count| vec![line("A", 1); count];
    check(many(0), None, &[LINES]);
    check(many(1), None, &[]);
    check(many(50), None, &[]);
    check(many(51), None, &[LINES]);
    check(vec![line("A", 0); 1_000], None, &[LINES]);
    check(vec![line("A", 0)], None, &[("items[0].quantity", QUANTITY)]);
    check(vec![line("A", -1)], None, &[("items[0].quantity", QUANTITY)]);
    check(vec![line("A", i64::MIN)], None, &[("items[0].quantity", QUANTITY)]);
    check(vec![line("A", 100_000)], None, &[]);
    check(vec![line("A", 100_000); 50], None, &[]);
    check(vec![line("A", 100_001)], None, &[("items[0].quantity", QUANTITY)]);
    check(many(1), Some(-1), &[AMOUNT]);
    check(many(1), Some(0), &[]);
    check(many(1), Some(1_000_000_000_000), &[]);
    check(many(1), Some(1_000_000_000_001), &[AMOUNT]);
    let mixed = vec![line("A", 1), line("B", 0), line("A", 1), line("B", i64::MAX)];
    let all = [("items[1].quantity", QUANTITY), ("items[3].quantity", QUANTITY), AMOUNT];
    check(mixed, Some(-1), &all);
}

#[test]
fn equal_products_are_summed_in_order_of_first_appearance() {
    fn check(lines: &[(&str, i64)], expected: &[(&str, i64)]) {
        let items = |lines: &[(&str, i64)]| -> Vec<_> {
            lines.iter().map(|&(product, quantity)| line(product, quantity)).collect()
        };
        let order = PlaceOrder::new(id("u1"), items(lines), None, None).expect("a valid order");
        assert_eq!(order.items, items(expected));
    }
    check(&[("B", 1), ("A", 2)], &[("B", 1), ("A", 2)]);
    check(&[("B", 1), ("A", 2), ("B", 3)], &[("B", 4), ("A", 2)]);
    check(&[("A", 1), ("A", 1), ("A", 1)], &[("A", 3)]);
    check(&[("A", 100_000); 50], &[("A", 5_000_000)]);
}

//! What holds for every shop and every line, not only for the ones that somebody thought of.

mod world;

use std::collections::{BTreeMap, BTreeSet};

use common::{Accepted, Changes, Command, Decision, Outcome, Success, decide, lanes};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use world::{World, decided_at, id, load, work, world};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Where a line is cut into batches is an accident of the moment: it must not show in anything.
    #[test]
    fn a_line_can_be_cut_anywhere(World { rows, line } in world()) {
        let mut whole_rows = rows.clone();
        let whole = work(&mut whole_rows, &line);
        for cut in 0..=line.len() {
            let mut cut_rows = rows.clone();
            let first = work(&mut cut_rows, &line[..cut]);
            let second = work(&mut cut_rows, &line[cut..]);
            prop_assert_eq!(&joined(first, second), &whole, "cut at {}", cut);
            prop_assert_eq!(&cut_rows, &whole_rows, "cut at {}", cut);
        }
    }

    /// Nobody waits for those with whom he shares nothing, because it makes no difference who of them is first.
    #[test]
    fn commands_on_disjoint_lanes_commute(World { rows, line } in world()) {
        let mut rows_in_order = rows.clone();
        let in_order = work(&mut rows_in_order, &line);
        for second in 1..line.len() {
            let first = second - 1;
            if !may_change_places(&line[first].command, &line[second].command) {
                continue;
            }
            let mut rows_swapped = rows.clone();
            let mut swapped = work(&mut rows_swapped, &with_swapped_places(&line, first, second));
            swapped.outcomes.swap(first, second);
            prop_assert_eq!(&swapped.outcomes, &in_order.outcomes);
            prop_assert_eq!(&rows_swapped, &rows_in_order);
            prop_assert_eq!(&sorted(swapped.changes), &sorted(in_order.changes.clone()));
        }
    }

    /// Whoever is refused might as well not have come.
    #[test]
    fn a_refusal_changes_nothing(World { rows, line } in world()) {
        let mut rows_after_all = rows.clone();
        let all = work(&mut rows_after_all, &line);
        let succeeded = |outcome: &Outcome| matches!(outcome, Outcome::Succeeded(_));
        let (mut winners, mut wins) = (Vec::new(), Vec::new());
        for (accepted, outcome) in line.iter().zip(&all.outcomes).filter(|(_, outcome)| succeeded(outcome)) {
            winners.push(accepted.clone());
            wins.push(outcome.clone());
        }
        let mut rows_after_winners = rows.clone();
        let alone = work(&mut rows_after_winners, &winners);
        prop_assert_eq!(alone.outcomes, wins);
        prop_assert_eq!(alone.changes, all.changes);
        prop_assert_eq!(rows_after_winners, rows_after_all);

        let mut rows_now = rows;
        for accepted in &line {
            let before = rows_now.clone();
            let decision = work(&mut rows_now, std::slice::from_ref(accepted));
            if !succeeded(&decision.outcomes[0]) {
                prop_assert_eq!(decision.changes, Changes::default());
                prop_assert_eq!(&rows_now, &before);
            }
        }
    }

    /// A batch that is decided again after a crash finds what it found before; and what is written is what was decided.
    #[test]
    fn deciding_twice_is_deciding_once(World { rows, line } in world()) {
        let loaded = load(&rows, &line);
        let (mut once, mut twice) = (loaded.clone(), loaded.clone());
        let first = decide(&mut once, &line, decided_at());
        prop_assert_eq!(&decide(&mut twice, &line, decided_at()), &first);
        prop_assert_eq!(&twice, &once);

        let mut written = loaded;
        written.apply(&first.changes);
        prop_assert_eq!(&written, &once);
    }

    /// When a batch happens to be decided dates what it makes, and decides nothing.
    #[test]
    fn the_hour_of_the_decision_does_not_matter(World { rows, line } in world(), second in -100..100_i64) {
        let (mut early, mut late) = (load(&rows, &line), load(&rows, &line));
        let at_some_time = decide(&mut early, &line, world::at(second));
        let at_the_end = decide(&mut late, &line, decided_at());
        prop_assert_eq!(at_some_time.outcomes, at_the_end.outcomes);
        prop_assert_eq!(early, late);
    }

    /// Nothing is sold twice, and no won appears or is lost.
    #[test]
    fn the_books_balance(World { rows, line } in world()) {
        let mut after = rows.clone();
        let decision = work(&mut after, &line);
        let changes = &decision.changes;
        prop_assert_eq!(decision.outcomes.len(), line.len());
        for number in 0..=2 {
            let product = id('P', number);
            let lines = changes.orders.iter().flat_map(|order| &order.lines);
            let sold: i64 = lines.filter(|line| line.product_id == product).map(|line| line.quantity).sum();
            let stock = |rows: &common::State| rows.product(&product).map(|product| product.stock);
            prop_assert_eq!(stock(&after), stock(&rows).map(|stock| stock - sold));
            prop_assert!(stock(&after).is_none_or(|stock| stock >= 0));

            let user = id('U', number);
            let mut entries = changes.ledger.iter().filter(|entry| entry.user_id == user);
            let moved: i64 = entries.clone().map(|entry| entry.amount).sum();
            prop_assert_eq!(after.balance(&user), rows.balance(&user) + moved);
            prop_assert!(after.balance(&user) >= 0);
            prop_assert!(entries.clone().all(|entry| entry.amount != 0));
            prop_assert!(entries.next_back().is_none_or(|entry| entry.balance_after == after.balance(&user)));

            let coupon = id('C', number);
            let issued = changes.issued.iter().filter(|issued| issued.coupon_id == coupon).count() as i64;
            if let (Some(before), Some(after)) = (rows.coupon(&coupon), after.coupon(&coupon)) {
                prop_assert_eq!(after.issued_quantity, before.issued_quantity + issued);
                prop_assert!(after.issued_quantity <= after.total_quantity);
            }
        }
        for order in &changes.orders {
            let total: i64 = order.lines.iter().map(|line| line.unit_price * line.quantity).sum();
            prop_assert_eq!(order.total_amount, total);
            prop_assert_eq!(order.final_amount, total - order.discount_amount);
            prop_assert!((0..=total).contains(&order.discount_amount));
        }
        let mut spent = BTreeSet::new();
        prop_assert!(changes.used.iter().all(|used| spent.insert((&used.user_id, &used.coupon_id))));
    }
}

/// The properties say nothing about what never happens in these worlds, so everything must happen, and often.
#[test]
fn the_worlds_reach_every_outcome() {
    const WORLDS: usize = 1_000;
    const LEAST: usize = 30;
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut swaps = 0;
    for _ in 0..WORLDS {
        let World { mut rows, line } = world().new_tree(&mut runner).expect("a world").current();
        for outcome in work(&mut rows, &line).outcomes {
            *seen.entry(name(&outcome)).or_default() += 1;
        }
        swaps += line.windows(2).filter(|two| may_change_places(&two[0].command, &two[1].command)).count();
    }
    let expected = [
        "C001",
        "C002",
        "C003",
        "C004",
        "C005 ALREADY_USED",
        "C005 BELOW_MIN_ORDER_AMOUNT",
        "C005 NOT_OWNED",
        "C006",
        "O002",
        "P001",
        "P002",
        "PAY001",
        "coupon issued",
        "order placed",
    ];
    assert_eq!(seen.keys().collect::<Vec<_>>(), expected, "{seen:?}");
    assert!(seen.values().all(|&count| count >= LEAST), "{seen:?}");
    assert!(swaps >= LEAST, "{swaps}");
}

fn name(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded(Success::CouponIssued { .. }) => "coupon issued".to_owned(),
        Outcome::Succeeded(Success::OrderPlaced { .. }) => "order placed".to_owned(),
        Outcome::Succeeded(Success::BalanceCharged { .. }) => "balance charged".to_owned(),
        Outcome::Failed(refusal) => {
            let reason = outcome.to_json()["reason"].as_str().map(|reason| format!(" {reason}"));
            format!("{}{}", refusal.code(), reason.unwrap_or_default())
        }
    }
}

/// Two batches as if they had been one.
fn joined(first: Decision, second: Decision) -> Decision {
    let Decision { mut outcomes, mut changes } = first;
    outcomes.extend(second.outcomes);
    changes.products.extend(second.changes.products);
    changes.users.extend(second.changes.users);
    changes.coupons.extend(second.changes.coupons);
    changes.issued.extend(second.changes.issued);
    changes.used.extend(second.changes.used);
    changes.orders.extend(second.changes.orders);
    changes.ledger.extend(second.changes.ledger);
    changes.cart_removals.extend(second.changes.cart_removals);
    Decision { outcomes, changes }
}

/// Facts in an order that does not depend on who came first.
fn sorted(mut changes: Changes) -> Changes {
    changes.issued.sort_by_key(|issued| issued.user_coupon_id);
    changes.used.sort_by_key(|used| used.order_id);
    changes.orders.sort_by_key(|order| order.order_id);
    changes.ledger.sort_by_key(|entry| entry.reference_id);
    changes.cart_removals.sort_by(|one, other| {
        (&one.user_id, one.accepted_at, &one.product_ids).cmp(&(&other.user_id, other.accepted_at, &other.product_ids))
    });
    changes
}

/// Whether no lane holds both. A claim and the order that would spend the very unit share no lane, and still their
/// order matters; but they stand in different groups, between which no order is promised.
fn may_change_places(one: &Command, other: &Command) -> bool {
    let (mine, theirs) = (lanes(one), lanes(other));
    let share_a_lane = mine.iter().any(|lane| theirs.contains(lane));
    let spends = |claim: &Command, order: &Command| match (claim, order) {
        (Command::ClaimCoupon(claim), Command::PlaceOrder(order)) => {
            claim.user_id == order.user_id && order.coupon_id.as_ref() == Some(&claim.coupon_id)
        }
        _ => false,
    };
    !share_a_lane && !spends(one, other) && !spends(other, one)
}

/// The same people with the same requests, two of them with each other's tickets.
fn with_swapped_places(line: &[Accepted], first: usize, second: usize) -> Vec<Accepted> {
    let mut swapped = line.to_vec();
    swapped.swap(first, second);
    swapped[first].ticket = line[first].ticket;
    swapped[second].ticket = line[second].ticket;
    swapped
}

//! Claim a coupon: first come, first served, once per shopper.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::changes::{Changes, Issued};
use crate::envelope::Accepted;
use crate::ids::{CouponId, UserId};
use crate::outcome::{Refusal, Success};
use crate::state::{Coupon, State, WalletEntry};

/// One shopper asks for one unit of a coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimCoupon {
    /// Who wants it.
    pub user_id: UserId,
    /// Which one.
    pub coupon_id: CouponId,
}

/// Whether a shopper who holds `held` may have a unit of `coupon`, asked at `accepted_at`; the checks stand in the
/// order in which they are answered.
///
/// # Errors
/// The first refusal that holds.
pub fn check_claim<'a>(
    coupon: Option<&'a Coupon>,
    held: Option<&WalletEntry>,
    accepted_at: DateTime<Utc>,
) -> Result<&'a Coupon, Refusal> {
    let Some(coupon) = coupon else {
        return Err(Refusal::CouponNotFound);
    };
    if held.is_some() {
        return Err(Refusal::AlreadyIssued);
    }
    if coupon.starts_at.is_some_and(|starts_at| accepted_at < starts_at) {
        return Err(Refusal::CouponNotStarted);
    }
    if coupon.ends_at.is_some_and(|ends_at| ends_at <= accepted_at) {
        return Err(Refusal::CouponExpired);
    }
    if coupon.issued_quantity >= coupon.total_quantity {
        return Err(Refusal::CouponSoldOut);
    }
    Ok(coupon)
}

impl ClaimCoupon {
    /// Decides the claim and, if it succeeds, moves the state on and notes what must be written.
    pub(crate) fn decide(
        &self,
        accepted: &Accepted,
        decided_at: DateTime<Utc>,
        state: &mut State,
        changes: &mut Changes,
    ) -> Result<Success, Refusal> {
        let coupon = check_claim(
            state.coupon(&self.coupon_id),
            state.wallet_entry(&self.user_id, &self.coupon_id),
            accepted.accepted_at,
        )?;
        let issued_quantity = coupon.issued_quantity + 1;
        // From acceptance, not from the decision: how long the line was, and where a batch was cut, must not change
        // what a shopper gets.
        let expires_at = coupon.expiry_of_unit(accepted.accepted_at);
        let user_coupon_id = accepted.request_id.as_uuid();

        // ── every check is passed; from here on nothing can fail ──

        state.set_issued_quantity(&self.coupon_id, issued_quantity);
        changes.coupons.insert(self.coupon_id.clone(), issued_quantity);

        let entry = WalletEntry { user_coupon_id, expires_at, used: false };
        state.put_in_wallet(&self.user_id, &self.coupon_id, entry);
        changes.issued.push(Issued {
            user_id: self.user_id.clone(),
            coupon_id: self.coupon_id.clone(),
            user_coupon_id,
            issued_at: decided_at,
            expires_at,
        });

        Ok(Success::CouponIssued { user_coupon_id, coupon_id: self.coupon_id.clone(), expires_at })
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use crate::changes::{Changes, Issued};
    use crate::decide::decide;
    use crate::money::Discount;
    use crate::needs::needs;
    use crate::outcome::{Outcome, Refusal, Success};
    use crate::samples::{accepted, at, claim, id, just_before, made_by};
    use crate::state::{Coupon, State, WalletEntry};

    /// Can be claimed from second 100 until second 200; two units, none of them issued.
    fn open() -> Coupon {
        Coupon {
            discount: Discount::Fixed { amount: 1_000 },
            min_order_amount: 0,
            total_quantity: 2,
            issued_quantity: 0,
            starts_at: Some(at(100)),
            ends_at: Some(at(200)),
            valid_days: None,
        }
    }

    fn held() -> Option<WalletEntry> {
        Some(WalletEntry { user_coupon_id: made_by(1), expires_at: None, used: false })
    }

    fn loaded(coupon: Option<Coupon>, held: Option<WalletEntry>) -> State {
        let mut state = State::absent(&needs([&claim("u1", "C1")]));
        state.insert_coupon(id("C1"), coupon);
        state.insert_wallet((id("u1"), id("C1")), held);
        state
    }

    fn refused(coupon: Option<Coupon>, held: Option<WalletEntry>, accepted_at: DateTime<Utc>, expected: Refusal) {
        let before = loaded(coupon, held);
        let mut state = before.clone();
        let claim = accepted(7, accepted_at, claim("u1", "C1"));
        let decision = decide(&mut state, &[claim], at(500));
        assert_eq!(decision.outcomes, [Outcome::Failed(expected)], "{before:?}");
        assert_eq!(decision.changes, Changes::default(), "{before:?}");
        assert_eq!(state, before);
    }

    fn granted(coupon: Coupon, accepted_at: DateTime<Utc>, expires_at: Option<DateTime<Utc>>) {
        let before = loaded(Some(coupon.clone()), None);
        let mut state = before.clone();
        let claim = accepted(7, accepted_at, claim("u1", "C1"));
        let decision = decide(&mut state, &[claim], at(500));
        let success = Success::CouponIssued { user_coupon_id: made_by(7), coupon_id: id("C1"), expires_at };
        assert_eq!(decision.outcomes, [Outcome::Succeeded(success)], "{coupon:?}");
        let changes = Changes {
            coupons: [(id("C1"), coupon.issued_quantity + 1)].into(),
            issued: vec![Issued {
                user_id: id("u1"),
                coupon_id: id("C1"),
                user_coupon_id: made_by(7),
                issued_at: at(500),
                expires_at,
            }],
            ..Changes::default()
        };
        assert_eq!(decision.changes, changes);
        let mut after = before;
        after.apply(&changes);
        assert_eq!(state, after);
    }

    #[test]
    fn each_refusal_alone() {
        let sold_out = Coupon { issued_quantity: 2, ..open() };
        refused(None, None, at(150), Refusal::CouponNotFound);
        refused(Some(open()), held(), at(150), Refusal::AlreadyIssued);
        refused(Some(open()), None, at(50), Refusal::CouponNotStarted);
        refused(Some(open()), None, at(250), Refusal::CouponExpired);
        refused(Some(sold_out), None, at(150), Refusal::CouponSoldOut);
        let of_none = Coupon { total_quantity: 0, ..open() };
        refused(Some(of_none), None, at(150), Refusal::CouponSoldOut);
    }

    #[test]
    fn a_used_or_expired_unit_is_a_unit() {
        for (used, expires_at) in [(true, None), (false, Some(at(120))), (true, Some(at(120)))] {
            let held = held().map(|entry| WalletEntry { used, expires_at, ..entry });
            refused(Some(open()), held, at(150), Refusal::AlreadyIssued);
        }
    }

    /// Where two hold at once, the earlier one in the contract's order is the answer.
    #[test]
    fn the_first_refusal_is_the_answer() {
        let sold_out = Coupon { issued_quantity: 2, ..open() };
        // The end was moved to before the start.
        let reversed = Coupon { starts_at: Some(at(200)), ends_at: Some(at(100)), ..open() };
        let reversed_and_sold_out = Coupon { issued_quantity: 2, ..reversed.clone() };
        refused(None, held(), at(150), Refusal::CouponNotFound);
        refused(Some(open()), held(), at(50), Refusal::AlreadyIssued);
        refused(Some(open()), held(), at(250), Refusal::AlreadyIssued);
        refused(Some(sold_out.clone()), held(), at(150), Refusal::AlreadyIssued);
        refused(Some(reversed), None, at(150), Refusal::CouponNotStarted);
        refused(Some(sold_out.clone()), None, at(50), Refusal::CouponNotStarted);
        refused(Some(sold_out), None, at(250), Refusal::CouponExpired);
        refused(Some(reversed_and_sold_out), None, at(150), Refusal::CouponNotStarted);
    }

    #[test]
    fn the_window_has_its_start_and_not_its_end() {
        refused(Some(open()), None, just_before(at(100)), Refusal::CouponNotStarted);
        granted(open(), at(100), Some(at(200)));
        granted(open(), just_before(at(200)), Some(at(200)));
        refused(Some(open()), None, at(200), Refusal::CouponExpired);
        let at_once = Coupon { starts_at: None, ..open() };
        granted(at_once, at(-1_000), Some(at(200)));
        let endless = Coupon { ends_at: None, ..open() };
        granted(endless, at(1_000_000_000), None);
    }

    #[test]
    fn the_last_unit_is_granted() {
        let one_left = Coupon { issued_quantity: 1, ..open() };
        granted(one_left, at(150), Some(at(200)));
    }

    /// Both lie far behind the decision at second 500: a long line takes nothing from anyone.
    #[test]
    fn days_are_counted_from_acceptance() {
        let good_for_a_day = Coupon { ends_at: None, valid_days: Some(1), ..open() };
        granted(good_for_a_day.clone(), at(150), Some(at(150 + 86_400)));
        let ends_earlier = Coupon { ends_at: Some(at(149 + 86_400)), ..good_for_a_day };
        granted(ends_earlier, at(150), Some(at(149 + 86_400)));
    }

    #[test]
    fn first_come_first_served() {
        let commands: Vec<_> = ["u3", "u1", "u3", "u2", "u1"]
            .iter()
            .zip(1..)
            .map(|(user, ticket)| accepted(ticket, at(150), claim(user, "C1")))
            .collect();
        let mut state = State::absent(&needs(commands.iter().map(|accepted| &accepted.command)));
        state.insert_coupon(id("C1"), Some(open()));
        let decision = decide(&mut state, &commands, at(500));
        let codes = decision.outcomes.iter().map(|outcome| match outcome {
            Outcome::Succeeded(_) => "yes",
            Outcome::Failed(refusal) => refusal.code(),
        });
        let codes: Vec<_> = codes.collect();
        assert_eq!(codes, ["yes", "yes", "C004", "C001", "C004"]);
        assert_eq!(decision.changes.coupons, [(id("C1"), 2)].into());
        let winners = decision.changes.issued.iter().map(|issued| issued.user_id.as_str());
        assert_eq!(winners.collect::<Vec<_>>(), ["u3", "u1"]);
    }
}

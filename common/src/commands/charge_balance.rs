//! Charge a balance: money from a card onto a shopper's account. Whether there is money, only the gateway can say, so this
//! command is not decided like the others: what the gateway says is its decision, and here is what follows from it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::FieldError;
use crate::changes::{LedgerEntry, LedgerKind};
use crate::ids::UserId;
use crate::limits::{MAX_AMOUNT_WON, MAX_PAYMENT_METHOD_CHARS};
use crate::money::Won;
use crate::outcome::{Outcome, Refusal, Success};

/// One shopper wants to have so much more on the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "StoredCharge")]
pub struct ChargeBalance {
    /// Whose balance.
    pub user_id: UserId,
    /// How much, 1 to 10^12 won.
    pub amount: Won,
    /// With what it is paid, as the gateway calls it; none: with what the shop is configured for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<String>,
}

/// A charge as it was written, whose bounds nobody has checked yet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredCharge {
    user_id: UserId,
    amount: Won,
    payment_method: Option<String>,
}

impl TryFrom<StoredCharge> for ChargeBalance {
    type Error = String;

    fn try_from(stored: StoredCharge) -> Result<Self, String> {
        ChargeBalance::new(stored.user_id, stored.amount, stored.payment_method)
            .map_err(|errors| errors.iter().map(|error| format!("{} {}", error.field, error.message)).collect())
    }
}

/// What the gateway says of a charge, once it is known for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payment {
    /// The money was taken.
    Taken,
    /// It was not, and will not be.
    Declined {
        /// Why, as the gateway puts it: `card_declined`, `insufficient_funds`.
        reason: String,
    },
}

impl ChargeBalance {
    /// Checks the members.
    ///
    /// # Errors
    /// Every member that is out of its bounds.
    pub fn new(user_id: UserId, amount: Won, payment_method: Option<String>) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut demand = |holds: bool, field: &str, message: String| {
            if !holds {
                errors.push(FieldError { field: field.to_owned(), message });
            }
        };
        let amounts = 1..=MAX_AMOUNT_WON;
        demand(amounts.contains(&amount), "amount", format!("must be between 1 and {MAX_AMOUNT_WON}"));
        if let Some(method) = &payment_method {
            let is_name =
                (1..=MAX_PAYMENT_METHOD_CHARS).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_graphic());
            let rule = format!("must be 1 to {MAX_PAYMENT_METHOD_CHARS} visible characters");
            demand(is_name, "paymentMethod", rule);
        }
        if errors.is_empty() { Ok(ChargeBalance { user_id, amount, payment_method }) } else { Err(errors) }
    }
}

/// What comes of a charge of `amount` won onto a balance that was `balance` before, and what must be booked for it.
pub fn settle(
    charge_id: Uuid,
    user_id: &UserId,
    amount: Won,
    balance: Won,
    payment: &Payment,
    settled_at: DateTime<Utc>,
) -> (Outcome, Option<LedgerEntry>) {
    match payment {
        Payment::Declined { reason } => (Outcome::Failed(Refusal::PaymentFailed { reason: reason.clone() }), None),
        Payment::Taken => {
            let current_balance = balance + amount;
            let success = Success::BalanceCharged {
                charge_id,
                previous_balance: balance,
                charged_amount: amount,
                current_balance,
            };
            let entry = LedgerEntry {
                user_id: user_id.clone(),
                kind: LedgerKind::Charge,
                amount,
                balance_after: current_balance,
                reference_id: charge_id,
                created_at: settled_at,
            };
            (Outcome::Succeeded(success), Some(entry))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ChargeBalance, Payment, settle};
    use crate::changes::{LedgerEntry, LedgerKind};
    use crate::limits::{MAX_AMOUNT_WON, MAX_PAYMENT_METHOD_CHARS};
    use crate::outcome::{Outcome, Refusal, Success};
    use crate::samples::{at, id, made_by};

    #[test]
    fn members_have_bounds() {
        let longest = "m".repeat(MAX_PAYMENT_METHOD_CHARS);
        let too_long = "m".repeat(MAX_PAYMENT_METHOD_CHARS + 1);
        let rows: [(i64, Option<&str>, &[&str]); 10] = [
            (1, None, &[]),
            (MAX_AMOUNT_WON, Some("pm_card_visa"), &[]),
            (1, Some(&longest), &[]),
            (0, None, &["amount"]),
            (-1, None, &["amount"]),
            (MAX_AMOUNT_WON + 1, None, &["amount"]),
            (1, Some(""), &["paymentMethod"]),
            (1, Some("two words"), &["paymentMethod"]),
            (1, Some(&too_long), &["paymentMethod"]),
            (0, Some("카드"), &["amount", "paymentMethod"]),
        ];
        for (amount, method, wrong) in rows {
            let fields = match ChargeBalance::new(id("u1"), amount, method.map(str::to_owned)) {
                Ok(_) => Vec::new(),
                Err(errors) => errors.into_iter().map(|error| error.field).collect(),
            };
            assert_eq!(fields, wrong, "{amount} {method:?}");
        }
    }

    #[test]
    fn what_was_stored_is_checked_again() {
        let read = |json: &str| serde_json::from_str::<ChargeBalance>(json);
        let charge = read(r#"{"userId":"u1","amount":50000,"paymentMethod":"pm_1"}"#).expect("a charge");
        assert_eq!(charge, ChargeBalance::new(id("u1"), 50_000, Some("pm_1".to_owned())).expect("a charge"));
        for wrong in [r#"{"userId":"u1","amount":0}"#, r#"{"userId":"u1","amount":1,"paymentMethod":""}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn money_that_was_taken_is_on_the_account() {
        let (outcome, entry) = settle(made_by(7), &id("u1"), 50_000, 10_000, &Payment::Taken, at(5));
        let success = Success::BalanceCharged {
            charge_id: made_by(7),
            previous_balance: 10_000,
            charged_amount: 50_000,
            current_balance: 60_000,
        };
        assert_eq!(outcome, Outcome::Succeeded(success));
        let booked = LedgerEntry {
            user_id: id("u1"),
            kind: LedgerKind::Charge,
            amount: 50_000,
            balance_after: 60_000,
            reference_id: made_by(7),
            created_at: at(5),
        };
        assert_eq!(entry, Some(booked));
    }

    #[test]
    fn money_that_was_not_taken_changes_nothing() {
        let payment = Payment::Declined { reason: "insufficient_funds".to_owned() };
        let settled = settle(made_by(7), &id("u1"), 50_000, 10_000, &payment, at(5));
        let refusal = Refusal::PaymentFailed { reason: "insufficient_funds".to_owned() };
        assert_eq!(settled, (Outcome::Failed(refusal), None));
    }
}

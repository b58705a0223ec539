//! The heart: commands in the order in which they came, one outcome each.

use chrono::{DateTime, Utc};

use crate::changes::Changes;
use crate::commands::Command;
use crate::envelope::Accepted;
use crate::outcome::Outcome;
use crate::state::State;

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// One per command, in the order of the commands.
    pub outcomes: Vec<Outcome>,
    /// What must be written for all of them.
    pub changes: Changes,
}

/// Decides the commands one after the other, each on what the ones before it left; `state` is moved on in place.
///
/// `decided_at` only dates what is made: no outcome depends on it, and so none on where a line was cut into batches.
///
/// # Panics
/// If the commands are not in the order of their tickets, or need a row that `state` does not declare, or one of them is
/// a charge, which only a gateway can decide. All would be decisions that nobody asked for.
pub fn decide(state: &mut State, commands: &[Accepted], decided_at: DateTime<Utc>) -> Decision {
    assert!(
        commands.is_sorted_by(|earlier, later| earlier.ticket < later.ticket),
        "commands are decided in the order of their tickets"
    );
    let mut changes = Changes::default();
    let outcomes = commands
        .iter()
        .map(|accepted| {
            let decided = match &accepted.command {
                Command::ClaimCoupon(claim) => claim.decide(accepted, decided_at, state, &mut changes),
                Command::PlaceOrder(order) => order.decide(accepted, decided_at, state, &mut changes),
                Command::ChargeBalance(_) => panic!("a charge is decided by a gateway"),
            };
            Outcome::from(decided)
        })
        .collect();
    Decision { outcomes, changes }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::decide;
    use crate::changes::Changes;
    use crate::needs::needs;
    use crate::samples::{accepted, at, claim};
    use crate::state::State;

    #[test]
    fn nothing_comes_of_nothing() {
        let mut state = State::new();
        let decision = decide(&mut state, &[], at(500));
        assert_eq!(decision.outcomes, []);
        assert_eq!(decision.changes, Changes::default());
    }

    #[test]
    fn nobody_is_decided_out_of_turn() {
        fn check(tickets: &[u64], in_order: bool) {
            let in_line = |&ticket| accepted(ticket, at(150), claim("u1", "C1"));
            let commands: Vec<_> = tickets.iter().map(in_line).collect();
            let mut state = State::absent(&needs([&claim("u1", "C1")]));
            let decided = catch_unwind(AssertUnwindSafe(|| decide(&mut state, &commands, at(500)).outcomes.len()));
            assert_eq!(decided.ok(), in_order.then_some(tickets.len()), "{tickets:?}");
        }
        check(&[5], true);
        check(&[1, 2, 9], true);
        check(&[2, 1], false);
        check(&[1, 1], false);
        check(&[1, 3, 2], false);
    }
}

//! From a command to its place in line, or to a certain no before it: what is known of its key, what the coupon demands of
//! a claim, and what a closed gate means.

use std::time::Duration;

use anyhow::anyhow;
use common::{ClaimCoupon, Command, Envelope, RequestId};
use lanes::{Append, Appended, Gate, IdempotencyKey, Lane, Quota, TurnedAway};
use runtime::fault_points::{Bug, Point, reached};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::lines::{Line, coupon_lane};
use crate::problem::Problem;
use crate::room::no_room;
use crate::sold_out::Answer;
use crate::state::AppState;
use crate::submit::Wishes;

/// Puts a command in line, unless something stands against it.
///
/// # Errors
/// The refusals of the door that concern this command, and faults.
pub async fn enter(
    state: &AppState,
    line: &Line,
    id: RequestId,
    command: &Command,
    wishes: &Wishes,
) -> Result<Appended, Problem> {
    let mut wanted = to_append(id, command, wishes)?;
    let Command::ClaimCoupon(claim) = command else {
        let appended = append(line, wanted).await;
        reached(Point::AfterAppend);
        return appended;
    };
    let Some(terms) = state.terms.of(&claim.coupon_id).await? else {
        return through_the_gate(state, line, claim, wanted).await;
    };
    if terms.human_check {
        if let Some(known) = look(state, line, claim, &wanted).await? {
            return Ok(known);
        }
        if let Err(refusal) = check_human(state, line, wishes).await {
            // A proof is good once: the same key may have stood in line with it meanwhile, or before Redis lost the key.
            if wanted.key.is_none() {
                return Err(refusal);
            }
            return repeated(state, line, claim, wanted).await?.ok_or(refusal);
        }
    }
    wanted.quota = terms.quota(wishes.client());
    let appended = through_the_gate(state, line, claim, wanted.clone()).await?;
    if appended != Appended::UsedUp {
        return Ok(appended);
    }
    if was_decided(state, &wanted).await? {
        return append(line, Append { gate: None, quota: None, ..wanted }).await;
    }
    line.counters.address_used_up.increment(1);
    Err(terms.used_up())
}

/// What would be said of a claim that is not let in: that its key is known, or a certain no; none: that it would stand in line.
async fn look(
    state: &AppState,
    line: &Line,
    claim: &ClaimCoupon,
    wanted: &Append,
) -> Result<Option<Appended>, Problem> {
    let name = "look".parse().expect("letters are a name");
    // Nothing is counted, so nothing is kept.
    let nobody = Some(Quota { name, max: 0, kept: Duration::from_secs(1) });
    let looked = through_the_gate(state, line, claim, Append { quota: nobody, ..wanted.clone() }).await?;
    Ok(Some(looked).filter(|looked| *looked != Appended::UsedUp))
}

/// The earlier request that this one repeats, if it does.
async fn repeated(
    state: &AppState,
    line: &Line,
    claim: &ClaimCoupon,
    wanted: Append,
) -> Result<Option<Appended>, Problem> {
    if let Some(known) = look(state, line, claim, &wanted).await? {
        return Ok(Some(known));
    }
    if was_decided(state, &wanted).await? {
        return append(line, Append { gate: None, quota: None, ..wanted }).await.map(Some);
    }
    Ok(None)
}

/// Demands a proof that a person sent this.
async fn check_human(state: &AppState, line: &Line, wishes: &Wishes) -> Result<(), Problem> {
    let Some(token) = wishes.human_token() else {
        line.counters.not_human.increment(1);
        return Err(Problem::human_token_missing());
    };
    let asked = match &state.human_check {
        Some(verifier) => verifier.is_human(token, wishes.client()).await,
        None => Err(anyhow!("the coupon demands a proof of being human, and HUMAN_CHECK_URL is not set")),
    };
    match asked {
        Ok(true) => Ok(()),
        Ok(false) => {
            line.counters.not_human.increment(1);
            Err(Problem::human_token_refused())
        }
        // Closed and not open: whoever brings the verifier down must not get in by it.
        Err(error) => {
            line.counters.verifier_away.increment(1);
            Err(Problem::unavailable(error))
        }
    }
}

/// Whether a command repeats one that was decided, and whose key Redis has lost. The line finds the outcome.
async fn was_decided(state: &AppState, wanted: &Append) -> Result<bool, Problem> {
    let Some(key) = digest_of_key(wanted) else {
        return Ok(false);
    };
    let found = sqlx::query_scalar("select exists (select from requests where idempotency_key = $1)");
    Ok(found.bind(key).fetch_one(&state.pool).await?)
}

fn digest_of_key(wanted: &Append) -> Option<Vec<u8>> {
    hex::decode(&wanted.key.as_ref()?.digest).ok()
}

/// Appends, and asks what a closed gate means; where that is not certain, the line decides.
async fn through_the_gate(
    state: &AppState,
    line: &Line,
    claim: &ClaimCoupon,
    wanted: Append,
) -> Result<Appended, Problem> {
    let appended = append(line, wanted.clone()).await?;
    reached(Point::AfterAppend);
    if appended != Appended::GateClosed {
        return Ok(appended);
    }
    match state.sold_out.answer(claim, digest_of_key(&wanted)).await {
        Answer::No(refusal) => {
            line.counters.sold_out.increment(1);
            return Err(Problem::refused(&refusal));
        }
        Answer::Open(gate) => open(line, &gate).await,
        Answer::AskTheLine => {}
    }
    append(line, Append { gate: None, ..wanted }).await
}

async fn append(line: &Line, command: Append) -> Result<Appended, Problem> {
    let id = command.id;
    line.appender.append(command).await.map_err(|error| {
        if matches!(error, lanes::Error::Busy) {
            return no_room(line, TurnedAway::Busy);
        }
        line.counters.unavailable.increment(1);
        let may_have_happened = error.may_have_happened();
        let problem = Problem::unavailable(error);
        if may_have_happened { problem.with("requestId", json!(id)) } else { problem }
    })
}

/// Brings a gate up to what Postgres says. That it fails is no reason to refuse anybody: the next claim tries again.
async fn open(line: &Line, gate: &Gate) {
    if let Err(error) = line.lanes.raise_gate(gate).await {
        tracing::warn!(%error, lane = %gate.lane, "raising the gate of {} failed", gate.lane);
    }
}

fn to_append(id: RequestId, command: &Command, wishes: &Wishes) -> Result<Append, Problem> {
    let lanes = common::lanes(command).into_iter().map(|lane| lane.parse::<Lane>());
    let lanes = lanes.collect::<Result<_, _>>().map_err(Problem::internal)?;
    let (path, gate) = match command {
        Command::ClaimCoupon(claim) => {
            (format!("/api/coupons/{}/issue", claim.coupon_id), Some(coupon_lane(&claim.coupon_id)))
        }
        Command::PlaceOrder(_) => ("/api/orders".to_owned(), None),
        Command::ChargeBalance(_) => ("/api/users/balance/charge".to_owned(), None),
    };
    let key = wishes.key().filter(|_| !Bug::NoIdempotency.is_made()).map(|key| IdempotencyKey {
        digest: digest([command.user_id().as_str(), "POST", &path, key]),
        body: hex::encode(Sha256::digest(command.fingerprint_bytes())),
    });
    let envelope = Envelope::new(command.clone(), wishes.trace()).encode();
    Ok(Append { id: id.as_uuid(), lanes, key, gate, quota: None, envelope })
}

/// A key belongs to a user, a method and a path. With their lengths before them no two different ones read alike.
fn digest(scope_and_key: [&str; 4]) -> String {
    let mut hash = Sha256::new();
    for part in scope_and_key {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_scopes_read_alike() {
        let digests = [
            digest(["u", "POST", "/api/orders", "k"]),
            digest(["uP", "OST", "/api/orders", "k"]),
            digest(["u", "POST", "/api/order", "sk"]),
            digest(["u", "POST", "/api/orders", "K"]),
        ];
        for (i, digest) in digests.iter().enumerate() {
            assert_eq!(digest.len(), 64);
            assert!(!digests[..i].contains(digest));
        }
    }
}

//! A payment gateway that speaks Stripe's wire protocol, as far as the shop does: an intent is created and confirmed with one
//! request, and read again.

mod answer;
mod keys;
mod request;

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::Utc;

use crate::arrived::{Payment, Taken};
use crate::bounded::Memory;
use crate::faults::{Mode, Target};
use crate::limits::KEYS_MAX;
use crate::world::World;
use crate::{odd, serve};
use answer::{Answer, new_intent};
use keys::{Begun, Held, Keys};
use request::{PaymentRequest, has_secret};

/// What the gateway remembers. Forgetting what arrived does not touch it: a key that was used once must not take money again.
#[derive(Debug)]
pub(crate) struct Gateway {
    keys: Keys,
    intents: Mutex<Memory<Answer>>,
}

impl Default for Gateway {
    fn default() -> Gateway {
        Gateway { keys: Keys::new(), intents: Mutex::new(Memory::new(KEYS_MAX)) }
    }
}

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/v1/payment_intents", post(create)).route("/v1/payment_intents/{id}", get(retrieve))
}

async fn retrieve(State(world): State<Arc<World>>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    if !has_secret(&headers) {
        return Answer::unauthenticated();
    }
    let intents = world.gateway.intents.lock().unwrap_or_else(PoisonError::into_inner);
    intents.get(&id).cloned().unwrap_or_else(|| Answer::unknown_intent(&id))
}

async fn create(State(world): State<Arc<World>>, headers: HeaderMap, form: Bytes) -> Response {
    if !has_secret(&headers) {
        return Answer::unauthenticated().into_response();
    }
    let request = match PaymentRequest::read(&headers, &form) {
        Ok(request) => Arc::new(request),
        Err(answer) => return answer.into_response(),
    };
    let number = world.desk.lists().payments.push(payment(&request));
    let told = |answer: Answer| tell(&world, number, Paid { answer, replayed: false });
    let mode = world.switches.bite(Target::Gateway);
    if let Some(odd) = odd::answer(&world, mode) {
        return odd;
    }
    match mode {
        Mode::Drip => {
            let paid = Begin::new(&world, &request).finish(&world, &request);
            odd::drip(tell(&world, number, paid)).await
        }
        Mode::Ok | Mode::Refuse | Mode::Redirect | Mode::Flood => {
            let paid = Begin::new(&world, &request).finish(&world, &request);
            tell(&world, number, paid)
        }
        Mode::Fail { status } => told(Answer::failure(status)),
        Mode::Hang => {
            let _held = Begin::new(&world, &request);
            pending().await
        }
        Mode::Slow { ms } => slow(&world, request, number, Duration::from_millis(ms)).await,
        Mode::TakeAndHang => {
            Begin::new(&world, &request).finish(&world, &request);
            pending().await
        }
        Mode::TakeAndFail { status } => {
            Begin::new(&world, &request).finish(&world, &request);
            told(Answer::failure(status))
        }
        Mode::TakeAndCut => {
            Begin::new(&world, &request).finish(&world, &request);
            serve::cut()
        }
    }
}

/// Pays after a while, beside the request: whoever hangs up does not stop a gateway.
async fn slow(world: &Arc<World>, request: Arc<PaymentRequest>, number: u64, pause: Duration) -> Response {
    let begun = Begin::new(world, &request);
    let inside = Arc::clone(world);
    let paying = async move {
        tokio::time::sleep(pause).await;
        begun.finish(&inside, &request)
    };
    match tokio::spawn(world.until.clone().run_until_cancelled_owned(paying)).await {
        Ok(Some(paid)) => tell(world, number, paid),
        // The sandbox ends.
        Ok(None) | Err(_) => serve::cut(),
    }
}

/// An answer, and whether it is that of an earlier request.
struct Paid {
    answer: Answer,
    replayed: bool,
}

/// A request that has begun: it is the first with its key, or its answer is known.
enum Begin {
    First(Held),
    Answered(Paid),
}

impl Begin {
    fn new(world: &World, request: &PaymentRequest) -> Begin {
        if let Err(answer) = request.check() {
            return Begin::Answered(Paid { answer, replayed: false });
        }
        let (answer, replayed) = match world.gateway.keys.begin(request.key.as_deref(), &request.parameters) {
            Begun::Fresh(held) => return Begin::First(held),
            Begun::Known(answer) => (answer, true),
            Begun::InFlight => (Answer::key_in_use(), false),
            Begun::OtherParameters => (Answer::key_of_other_parameters(), false),
        };
        Begin::Answered(Paid { answer, replayed })
    }

    /// Takes the money, or declines the card, and keeps the answer under the key.
    fn finish(self, world: &World, request: &PaymentRequest) -> Paid {
        let held = match self {
            Begin::First(held) => held,
            Begin::Answered(paid) => return paid,
        };
        let declined = request.declined().filter(|_| request.confirm);
        let status = match (declined, request.confirm, &request.payment_method) {
            (Some(_), _, _) | (None, false, None) => "requires_payment_method",
            (None, false, Some(_)) => "requires_confirmation",
            (None, true, _) => "succeeded",
        };
        let intent = new_intent(request, status);
        let answer = match declined {
            Some(reason) => Answer::declined(reason, &intent),
            None => Answer::intent(&intent),
        };
        let id = intent["id"].as_str().unwrap_or_default();
        {
            let mut intents = world.gateway.intents.lock().unwrap_or_else(PoisonError::into_inner);
            intents.insert(id, Answer::intent(&intent));
        }
        if status == "succeeded" {
            world.desk.lists().ledger.push(taken(request, id));
        }
        held.keep(&answer);
        Paid { answer, replayed: false }
    }
}

/// Notes how the request is answered, and answers it.
fn tell(world: &World, number: u64, paid: Paid) -> Response {
    if let Some(payment) = world.desk.lists().payments.get_mut(number) {
        payment.answer = Some(paid.answer.status);
        payment.replayed = paid.replayed;
    }
    if paid.replayed { paid.answer.replayed() } else { paid.answer.into_response() }
}

fn payment(request: &PaymentRequest) -> Payment {
    Payment {
        at: Utc::now(),
        idempotency_key: request.key.clone(),
        charge_id: request.metadata.get("chargeId").cloned(),
        amount: request.amount,
        currency: request.currency.clone(),
        payment_method: request.payment_method.clone(),
        replayed: false,
        answer: None,
    }
}

fn taken(request: &PaymentRequest, intent: &str) -> Taken {
    Taken {
        at: Utc::now(),
        intent: intent.to_owned(),
        amount: request.amount,
        currency: request.currency.clone(),
        payment_method: request.payment_method.clone().unwrap_or_default(),
        charge_id: request.metadata.get("chargeId").cloned(),
        idempotency_key: request.key.clone(),
    }
}

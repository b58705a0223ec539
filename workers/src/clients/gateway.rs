//! The payment gateway, in Stripe's words (<https://docs.stripe.com/api/payment_intents>): a payment intent that is confirmed
//! when it is made. The charge's id is the idempotency key, so asking again takes no money again.

use std::time::{Duration, Instant};

use anyhow::Context;
use common::{Payment, Trace, Won};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use runtime::config::{GatewayArgs, check_target};
use runtime::metrics::{self, gateway_answer};
use runtime::traces;
use serde::Deserialize;
use uuid::Uuid;

use super::http::{ANSWER_MAX_BYTES, client, in_words};

/// A gateway's reason is a word such as `insufficient_funds`; of a longer one the beginning is kept.
pub(crate) const REASON_MAX_CHARS: usize = 100;

/// The names that gateways give to payments have a few dozen characters.
const ID_MAX_CHARS: usize = 255;

/// A gateway that takes money. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    intents: Url,
    client: Client,
    headers: HeaderMap,
    timeout: Duration,
    default_method: String,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The charge, which is the idempotency key.
    pub charge_id: Uuid,
    /// How much.
    pub amount: Won,
    /// With what it is paid.
    pub payment_method: &'a str,
    /// What the gateway calls it, where it said so before.
    pub gateway_id: Option<&'a str>,
    /// Whether nobody has asked before.
    pub is_first: bool,
    /// What asks belongs here in a trace, if in any.
    pub trace: Option<&'a Trace>,
}

/// What the gateway says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// What came of it, or why that is not known yet.
    pub payment: Result<Payment, String>,
    /// What the gateway calls it, where it said so.
    pub gateway_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Intent {
    id: String,
    status: String,
    amount: Won,
    last_payment_error: Option<Refused>,
}

#[derive(Debug, Deserialize)]
struct ErrorBody {
    error: Refused,
}

#[derive(Debug, Deserialize)]
struct Refused {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
}

impl Gateway {
    /// The gateway as it is configured; none: it is not.
    ///
    /// # Errors
    /// A sentence that names the variable that cannot work.
    pub fn new(args: &GatewayArgs, allow_private_http: bool) -> anyhow::Result<Option<Gateway>> {
        let Some(url) = args.payment_gateway_url.as_deref().filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        let parsed = Url::parse(&format!("{}/v1/payment_intents", url.trim_end_matches('/')));
        let intents = parsed.context("PAYMENT_GATEWAY_URL is no URL")?;
        check_target(intents.scheme(), intents.host_str(), allow_private_http)
            .map_err(anyhow::Error::msg)
            .context("PAYMENT_GATEWAY_URL")?;
        let secret =
            args.payment_gateway_secret.as_ref().context("PAYMENT_GATEWAY_URL needs PAYMENT_GATEWAY_SECRET")?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", secret.expose()))
            .ok()
            .context("PAYMENT_GATEWAY_SECRET must be of visible characters")?;
        bearer.set_sensitive(true);
        let timeout = args.payment_gateway_timeout;
        Ok(Some(Gateway {
            intents,
            client: client(timeout)?,
            headers: HeaderMap::from_iter([(AUTHORIZATION, bearer)]),
            timeout,
            default_method: args.payment_default_method.clone(),
        }))
    }

    /// How long asking may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The method of a charge that names none.
    pub fn default_method(&self) -> &str {
        &self.default_method
    }

    /// Asks for the money, or what came of it when that was done before. Asking again is safe.
    pub async fn ask(&self, asked: Asked<'_>) -> Answer {
        let began = Instant::now();
        let mut headers = self.headers.clone();
        let span = traces::call("ask the payment gateway", asked.trace, &mut headers);
        let (status, answer) = match self.request(asked).headers(headers).send().await {
            Ok(response) => (Some(response.status().as_u16()), read(response, asked).await),
            Err(error) => (None, unknown(in_words(error))),
        };
        span.end(status, answer.payment.as_ref().err().map(String::as_str));
        metrics::gateway_seconds().record(began.elapsed());
        metrics::gateway_calls(match &answer.payment {
            Ok(Payment::Taken) => gateway_answer::TAKEN,
            Ok(Payment::Declined { .. }) => gateway_answer::DECLINED,
            Err(_) => gateway_answer::UNKNOWN,
        })
        .increment(1);
        answer
    }

    /// A payment that the gateway has named is looked up: repeating what made it would only repeat its first answer.
    fn request(&self, asked: Asked<'_>) -> RequestBuilder {
        if let Some(id) = asked.gateway_id {
            let mut url = self.intents.clone();
            if let Ok(mut path) = url.path_segments_mut() {
                path.push(id);
            }
            return self.client.get(url);
        }
        let id = asked.charge_id.to_string();
        let form = [
            ("amount", asked.amount.to_string()),
            ("currency", "krw".to_owned()),
            ("confirm", "true".to_owned()),
            ("payment_method", asked.payment_method.to_owned()),
            ("payment_method_types[]", "card".to_owned()),
            ("metadata[chargeId]", id.clone()),
        ];
        self.client.post(self.intents.clone()).header("idempotency-key", id).form(&form)
    }
}

fn unknown(why: String) -> Answer {
    Answer { payment: Err(why), gateway_id: None }
}

async fn read(response: Response, asked: Asked<'_>) -> Answer {
    let status = response.status();
    match body_of(response).await {
        Ok(body) => judge(status, &body, asked),
        Err(why) => unknown(why),
    }
}

/// The whole answer: half of one says nothing.
async fn body_of(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(in_words)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_MAX_BYTES {
            return Err(format!("answered with more than {ANSWER_MAX_BYTES} bytes"));
        }
    }
    Ok(body)
}

/// What an answer means. Only two kinds of answers say for good that no money was taken: the card was declined, or, when it
/// was asked for the first time, the request was wrong in itself. Later that may come of an address or a secret that was
/// changed since. Everything else that is no success may come of a payment that went through; so may all that is said of a
/// payment which the gateway had named before, and only cannot show now.
fn judge(status: StatusCode, body: &[u8], asked: Asked<'_>) -> Answer {
    if status.is_success() {
        return match serde_json::from_slice::<Intent>(body) {
            // A list of the same values in the order of our members would be read, too, and is no payment.
            Ok(intent) if body.trim_ascii_start().starts_with(b"{") => intent.answer(asked.amount),
            _ => unknown(format!("answered {} without a payment", status.as_u16())),
        };
    }
    let said = serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.error);
    let kind = said.as_ref().and_then(|refused| refused.kind.as_deref()).unwrap_or_default();
    let is_final = asked.gateway_id.is_none()
        && match status {
            // Stripe says `card_error`; what speaks its language is not always as exact.
            StatusCode::PAYMENT_REQUIRED => kind == "card_error" || kind == "invalid_request_error",
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => asked.is_first && kind == "invalid_request_error",
            _ => false,
        };
    match &said {
        Some(refused) if is_final => {
            Answer { payment: Ok(Payment::Declined { reason: refused.reason(kind) }), gateway_id: None }
        }
        Some(refused) => unknown(format!("answered {}: {}", status.as_u16(), refused.reason(kind))),
        None => unknown(format!("answered {}", status.as_u16())),
    }
}

/// What an answer means to a charge that no payment is known of yet; see [`crate::fuzzing`].
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn judged(status: StatusCode, body: &[u8], amount: Won, is_first: bool) -> Answer {
    let charge_id = Uuid::nil();
    let asked = Asked { charge_id, amount, payment_method: "pm", gateway_id: None, is_first, trace: None };
    judge(status, body, asked)
}

impl Intent {
    fn answer(self, amount: Won) -> Answer {
        let payment = match self.status.as_str() {
            "succeeded" if self.amount != amount => {
                Err(format!("took {} won where {amount} were asked for", self.amount))
            }
            "succeeded" => Ok(Payment::Taken),
            // The shopper cannot be sent to the bank from here, so nobody will ever finish it.
            "requires_action" => Ok(Payment::Declined { reason: "authentication_required".to_owned() }),
            "requires_payment_method" | "canceled" => {
                let reason = self.last_payment_error.map(|refused| refused.reason("card_declined"));
                Ok(Payment::Declined { reason: reason.unwrap_or(self.status) })
            }
            other => Err(format!("the payment is {}", word(other))),
        };
        // An id that cannot be kept is as good as none.
        let is_id = (1..=ID_MAX_CHARS).contains(&self.id.len()) && self.id.bytes().all(|b| b.is_ascii_graphic());
        Answer { payment, gateway_id: is_id.then_some(self.id) }
    }
}

impl Refused {
    /// The most exact of the words that it comes with.
    fn reason(&self, otherwise: &str) -> String {
        word(self.decline_code.as_deref().or(self.code.as_deref()).unwrap_or(otherwise))
    }
}

/// A word of the gateway that can be kept and shown.
fn word(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(REASON_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(gateway_id: Option<&str>, is_first: bool) -> Asked<'_> {
        Asked { charge_id: Uuid::nil(), amount: 500, payment_method: "pm", gateway_id, is_first, trace: None }
    }

    fn check(status: u16, body: &str, payment: Result<Payment, &str>, id: Option<&str>) {
        let answer = judge(StatusCode::from_u16(status).unwrap(), body.as_bytes(), asked(None, true));
        let meant = Answer { payment: payment.map_err(str::to_owned), gateway_id: id.map(str::to_owned) };
        assert_eq!(answer, meant, "{status} {body}");
    }

    fn declined(reason: &str) -> Result<Payment, &'static str> {
        Ok(Payment::Declined { reason: reason.to_owned() })
    }

    #[test]
    fn a_payment_says_what_came_of_it() {
        let intent = |rest: &str| format!(r#"{{"id":"pi_1","object":"payment_intent","amount":500,{rest}}}"#);
        check(200, &intent(r#""status":"succeeded""#), Ok(Payment::Taken), Some("pi_1"));
        check(200, &intent(r#""status":"requires_action""#), declined("authentication_required"), Some("pi_1"));
        check(200, &intent(r#""status":"canceled""#), declined("canceled"), Some("pi_1"));
        let failed = r#""status":"requires_payment_method","last_payment_error":{"code":"card_declined","decline_code":"lost_card"}"#;
        check(200, &intent(failed), declined("lost_card"), Some("pi_1"));
        check(200, &intent(r#""status":"processing""#), Err("the payment is processing"), Some("pi_1"));
        let nameless = intent(r#""status":"succeeded""#).replace("pi_1", r"pi\u0000");
        check(200, &nameless, Ok(Payment::Taken), None);
        let other = r#"{"id":"pi_1","amount":50000,"status":"succeeded"}"#;
        check(200, other, Err("took 50000 won where 500 were asked for"), Some("pi_1"));
    }

    #[test]
    fn only_a_clear_no_is_a_no() {
        let error = |rest: &str| format!(r#"{{"error":{{{rest}}}}}"#);
        let card = error(r#""type":"card_error","code":"card_declined","decline_code":"insufficient_funds""#);
        check(402, &card, declined("insufficient_funds"), None);
        check(402, &error(r#""type":"card_error","code":"expired_card""#), declined("expired_card"), None);
        check(402, &error(r#""type":"card_error""#), declined("card_error"), None);
        check(402, &error(r#""type":"invalid_request_error","code":"card_declined""#), declined("card_declined"), None);
        let missing = error(r#""type":"invalid_request_error","code":"resource_missing""#);
        check(400, &missing, declined("resource_missing"), None);
        check(404, &missing, declined("resource_missing"), None);
        check(400, &error(r#""type":"idempotency_error""#), Err("answered 400: idempotency_error"), None);
        check(402, &error(r#""type":"api_error""#), Err("answered 402: api_error"), None);
        let in_use = error(r#""type":"invalid_request_error","code":"idempotency_key_in_use""#);
        check(409, &in_use, Err("answered 409: idempotency_key_in_use"), None);
        check(401, &error(r#""type":"invalid_request_error""#), Err("answered 401: invalid_request_error"), None);
        for later in [asked(Some("pi_1"), false), asked(None, false)] {
            let answer = judge(StatusCode::NOT_FOUND, missing.as_bytes(), later);
            assert_eq!(answer.payment, Err("answered 404: resource_missing".to_owned()), "{later:?}");
        }
        let repeated = judge(StatusCode::PAYMENT_REQUIRED, card.as_bytes(), asked(None, false));
        assert_eq!(repeated.payment, declined("insufficient_funds").map_err(str::to_owned));
        for status in [301, 400, 402, 403, 404, 429, 500, 503] {
            check(status, "<html>", Err(&*format!("answered {status}")), None);
        }
        for body in ["", "{}", "<html>", r#"{"id":"pi_1"}"#, r#"["pi_1","succeeded",500,null]"#] {
            check(200, body, Err("answered 200 without a payment"), None);
        }
    }
}

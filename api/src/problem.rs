//! An answer that is not what was asked for: a refusal or a fault, as `application/problem+json` (RFC 9457).

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, LazyLock};

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LANGUAGE, CONTENT_TYPE, RETRY_AFTER, VARY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use common::{FieldError, Refusal};
use runtime::metrics;
use runtime::postgres::{Fault, classify};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error_table::Code;
use crate::language::Language;

/// Why a claim was refused before the line, where the code alone does not say it: the member `reason` of R003 and A002.
pub mod reason {
    /// The address has as many of the coupon as it may have.
    pub const ADDRESS_USED_UP: &str = "ADDRESS_USED_UP";
    /// A proof of being human is demanded, and was not there.
    pub const HUMAN_TOKEN_MISSING: &str = "HUMAN_TOKEN_MISSING";
    /// The proof was not accepted.
    pub const HUMAN_TOKEN_REFUSED: &str = "HUMAN_TOKEN_REFUSED";
}

/// When Redis or Postgres is away, or a line is full, another attempt makes sense after this.
const RETRY_AFTER_SECONDS: u32 = 1;

/// What is told instead of the words of the code, where they would not say enough.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    korean: &'static str,
    english: &'static str,
}

const ADDRESS_USED_UP: Words = Words {
    korean: "이 주소에서 받을 수 있는 쿠폰 수를 모두 받았습니다.",
    english: "As many of these coupons as may go to one address have gone to yours.",
};

const HUMAN_TOKEN_MISSING: Words = Words {
    korean: "이 쿠폰을 받으려면 사람임을 확인해야 합니다.",
    english: "This coupon needs a proof that you are a person, and there was none.",
};

const HUMAN_TOKEN_REFUSED: Words = Words {
    korean: "사람임을 확인하지 못했습니다. 다시 확인해 주세요.",
    english: "The proof that you are a person was not accepted. Please get a new one.",
};

/// What went wrong, until it is written down in the language of the one who reads it.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    status: u16,
    words: Option<&'static Words>,
    members: Map<String, Value>,
    retry_after_seconds: Option<u32>,
    cause: Option<Arc<anyhow::Error>>,
}

impl Problem {
    /// The error of this code, with the status that the table gives it.
    pub fn new(code: Code) -> Problem {
        let (status, members) = (code.row().status, Map::new());
        Problem { code, status, words: None, members, retry_after_seconds: None, cause: None }
    }

    /// One member is not as it should be.
    pub fn field(field: impl Into<String>, message: impl Display) -> Problem {
        Problem::fields(vec![FieldError { field: field.into(), message: message.to_string() }])
    }

    /// These members are not as they should be.
    pub fn fields(errors: Vec<FieldError>) -> Problem {
        Problem::new(Code::V001).with("errors", json!(errors))
    }

    /// Redis or Postgres cannot be asked now.
    pub fn unavailable(cause: impl Into<anyhow::Error>) -> Problem {
        Problem::new(Code::R005).retry().because(cause)
    }

    /// A fault of ours.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Problem {
        Problem::new(Code::X003).because(cause)
    }

    /// A "no" of the line, as an answer of its own.
    pub fn refused(refusal: &Refusal) -> Problem {
        let code = code_of(refusal);
        Problem { members: members_of(refusal), ..Problem::new(code) }
    }

    /// The caller's address has as many of a coupon as it may have.
    pub fn address_used_up() -> Problem {
        Problem::new(Code::R003).saying(&ADDRESS_USED_UP).with("reason", json!(reason::ADDRESS_USED_UP))
    }

    /// A claim without a proof that a person sent it, where one is demanded.
    pub fn human_token_missing() -> Problem {
        Problem::new(Code::A002).saying(&HUMAN_TOKEN_MISSING).with("reason", json!(reason::HUMAN_TOKEN_MISSING))
    }

    /// A claim whose proof proves nothing.
    pub fn human_token_refused() -> Problem {
        Problem::new(Code::A002).saying(&HUMAN_TOKEN_REFUSED).with("reason", json!(reason::HUMAN_TOKEN_REFUSED))
    }

    fn saying(mut self, words: &'static Words) -> Problem {
        self.words = Some(words);
        self
    }

    /// Adds a member of this error.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Problem {
        self.members.insert(name.to_owned(), value);
        self
    }

    /// Answers with another status than the table's; only V001 has several.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Problem {
        self.status = status.as_u16();
        self
    }

    /// Tells the client to try again soon.
    #[must_use]
    pub fn retry(mut self) -> Problem {
        self.retry_after_seconds = Some(RETRY_AFTER_SECONDS);
        self
    }

    /// Tells the client after how many seconds to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Problem {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Keeps the fault behind it for the log; the client never sees it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<anyhow::Error>) -> Problem {
        self.cause = Some(Arc::new(cause.into()));
        self
    }

    /// Which error it is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The fault behind it, if there is one.
    pub fn cause(&self) -> Option<&anyhow::Error> {
        self.cause.as_deref()
    }

    /// Writes it into the answer that carries it, whose other headers stay.
    pub(crate) fn write_into(&self, response: &mut Response, language: Language) {
        let says_only_its_code =
            self.words.is_none() && self.members.is_empty() && self.status == self.code.row().status;
        let told = if says_only_its_code { TOLD.get(&(self.code, language)).cloned() } else { None };
        *response.body_mut() = Body::from(told.unwrap_or_else(|| self.written(language)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        headers.insert(VARY, HeaderValue::from_static("accept-language"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }

    fn written(&self, language: Language) -> Bytes {
        #[derive(Serialize)]
        struct Written<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            code: &'a str,
            error: &'a str,
            message: &'a str,
            #[serde(flatten)]
            members: &'a Map<String, Value>,
        }

        let row = self.code.row();
        let message = match (self.words, language) {
            (None, language) => message(self.code, language),
            (Some(words), Language::Korean) => words.korean,
            (Some(words), Language::English) => words.english,
        };
        let written = serde_json::to_vec(&Written {
            r#type: format!("urn:droplane:problem:{}", row.code),
            title: row.title,
            status: self.status,
            detail: message,
            code: row.code,
            error: row.error,
            message,
            members: &self.members,
        });
        written.expect("texts and JSON values can be written as JSON").into()
    }
}

/// What is told of each error that says nothing but its code, written once: most of what a crowd hears.
static TOLD: LazyLock<HashMap<(Code, Language), Bytes>> = LazyLock::new(|| {
    let of_code = |code: &Code| {
        let problem = Problem::new(*code);
        Language::ALL.map(|language| ((problem.code, language), problem.written(language)))
    };
    Code::ALL.iter().flat_map(of_code).collect()
});

/// What is told for a code.
fn message(code: Code, language: Language) -> &'static str {
    match language {
        Language::Korean => code.row().korean,
        Language::English => code.row().english,
    }
}

fn code_of(refusal: &Refusal) -> Code {
    // A refusal without a row would be a contract that contradicts itself; a test walks through all of them.
    Code::find(refusal.code()).unwrap_or(Code::X003)
}

fn members_of(refusal: &Refusal) -> Map<String, Value> {
    match serde_json::to_value(refusal) {
        Ok(Value::Object(mut members)) => {
            members.remove("code");
            members
        }
        _ => Map::new(),
    }
}

/// A "no" as the `error` of a request document: code, word, message, and the members of its code.
pub fn document_error(refusal: &Refusal, language: Language) -> Value {
    let row = code_of(refusal).row();
    let mut error = members_of(refusal);
    error.insert("code".to_owned(), row.code.into());
    error.insert("error".to_owned(), row.error.into());
    error.insert("message".to_owned(), message(code_of(refusal), language).into());
    Value::Object(error)
}

impl IntoResponse for Problem {
    /// The body is written at the door, which knows the client's language.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }
}

/// SQLSTATE of a table that is not there: the migrations have not been applied yet.
const UNDEFINED_TABLE: &str = "42P01";

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Problem {
        let fault = classify(&error);
        metrics::postgres_errors(fault.as_str()).increment(1);
        let not_migrated =
            error.as_database_error().is_some_and(|refusal| refusal.code().as_deref() == Some(UNDEFINED_TABLE));
        match fault {
            Fault::Transient | Fault::TimedOut => Problem::unavailable(error),
            Fault::Data | Fault::Other if not_migrated => Problem::unavailable(error),
            Fault::Data | Fault::Other => Problem::internal(error),
        }
    }
}

impl From<lanes::Error> for Problem {
    fn from(error: lanes::Error) -> Problem {
        Problem::unavailable(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::{InsufficientItem, NotApplicable};
    use std::collections::HashSet;

    /// The table of the contract, section 4.
    const CONTRACT: [(&str, &str, u16); 25] = [
        ("V001", "VALIDATION_FAILED", 400),
        ("A001", "UNAUTHENTICATED", 401),
        ("A002", "FORBIDDEN", 403),
        ("R001", "REQUEST_NOT_FOUND", 404),
        ("R002", "IDEMPOTENCY_KEY_REUSED", 422),
        ("R003", "TOO_MANY_REQUESTS", 429),
        ("R004", "QUEUE_FULL", 503),
        ("R005", "UNAVAILABLE", 503),
        ("P001", "PRODUCT_NOT_FOUND", 404),
        ("P002", "INSUFFICIENT_STOCK", 400),
        ("CART001", "CART_ITEM_NOT_FOUND", 404),
        ("O001", "ORDER_NOT_FOUND", 404),
        ("O002", "AMOUNT_MISMATCH", 409),
        ("PAY001", "INSUFFICIENT_BALANCE", 400),
        ("PAY002", "PAYMENT_FAILED", 402),
        ("C001", "COUPON_SOLD_OUT", 409),
        ("C002", "COUPON_NOT_FOUND", 404),
        ("C003", "COUPON_EXPIRED", 400),
        ("C004", "ALREADY_ISSUED", 409),
        ("C005", "COUPON_NOT_APPLICABLE", 400),
        ("C006", "COUPON_NOT_STARTED", 400),
        ("X001", "NOT_FOUND", 404),
        ("X002", "METHOD_NOT_ALLOWED", 405),
        ("X003", "INTERNAL", 500),
        ("X004", "ALREADY_EXISTS", 409),
    ];

    #[test]
    fn the_table_is_the_contract() {
        let table: Vec<_> =
            Code::ALL.iter().map(|code| (code.row().code, code.row().error, code.row().status)).collect();
        assert_eq!(table, CONTRACT);
        let mut told = HashSet::new();
        for code in Code::ALL {
            let row = code.row();
            assert_eq!(Code::find(row.code), Some(*code));
            assert!(row.korean.chars().any(|c| ('가'..='힣').contains(&c)), "{}", row.code);
            assert!(row.english.is_ascii() && !row.english.is_empty(), "{}", row.code);
            assert!(told.insert(row.korean) && told.insert(row.english), "{} says what another says", row.code);
        }
    }

    #[test]
    fn every_refusal_has_a_row_and_shows_its_members() {
        let item = InsufficientItem {
            product_id: "P001".parse().unwrap(),
            product_name: "노트북".to_owned(),
            requested_quantity: 5,
            available_stock: 2,
        };
        let rows = [
            (Refusal::ProductNotFound { product_id: "P001".parse().unwrap() }, json!({"productId": "P001"})),
            (
                Refusal::InsufficientStock { insufficient_items: vec![item] },
                json!({"insufficientItems": [
                    {"productId": "P001", "productName": "노트북", "requestedQuantity": 5, "availableStock": 2}
                ]}),
            ),
            (Refusal::CouponSoldOut, json!({})),
            (Refusal::CouponNotFound, json!({})),
            (Refusal::CouponExpired, json!({})),
            (Refusal::AlreadyIssued, json!({})),
            (Refusal::CouponNotApplicable { reason: NotApplicable::NotOwned }, json!({"reason": "NOT_OWNED"})),
            (Refusal::CouponNotStarted, json!({})),
            (
                Refusal::AmountMismatch { expected_amount: 2, actual_amount: 1 },
                json!({"expectedAmount": 2, "actualAmount": 1}),
            ),
            (
                Refusal::InsufficientBalance { required_amount: 3, current_balance: 1, shortfall: 2 },
                json!({"requiredAmount": 3, "currentBalance": 1, "shortfall": 2}),
            ),
            (Refusal::PaymentFailed { reason: "lost_card".to_owned() }, json!({"reason": "lost_card"})),
            (Refusal::IdempotencyKeyReused, json!({})),
            (Refusal::Internal, json!({})),
        ];
        for (refusal, members) in rows {
            assert_eq!(Code::find(refusal.code()), Some(code_of(&refusal)), "{refusal:?}");
            assert_eq!(Value::Object(members_of(&refusal)), members, "{refusal:?}");
            let shown = document_error(&refusal, Language::English);
            assert_eq!(shown["code"], refusal.code());
            assert_eq!(shown["message"], code_of(&refusal).row().english);
        }
    }
}

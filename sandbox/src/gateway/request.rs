//! What the gateway is asked.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::answer::Answer;
use crate::limits::KEY_MAX_CHARS;

/// All that was sent in the form, in an order that does not depend on the client's.
pub(super) type Parameters = Vec<(String, String)>;

/// Cards that are declined, with Stripe's reason.
const DECLINED: [(&str, &str); 2] = [
    ("pm_card_chargeDeclined", "generic_decline"),
    ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
];

/// What names of payment methods begin with.
const METHOD_PREFIX: &str = "pm_";

/// A request to pay.
#[derive(Debug)]
pub(super) struct PaymentRequest {
    pub key: Option<String>,
    pub parameters: Parameters,
    pub amount: i64,
    pub currency: String,
    pub confirm: bool,
    pub payment_method: Option<String>,
    pub payment_method_types: Vec<String>,
    pub metadata: BTreeMap<String, String>,
}

/// Whether the client says who it is. Any secret will do.
pub(super) fn has_secret(headers: &HeaderMap) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|secret| !secret.trim().is_empty())
}

impl PaymentRequest {
    /// # Errors
    /// The answer to what cannot be read.
    pub fn read(headers: &HeaderMap, form: &[u8]) -> Result<PaymentRequest, Answer> {
        let mut parameters: Parameters = form_urlencoded::parse(form).into_owned().collect();
        parameters.sort();
        let value = |name: &str| {
            let found = parameters.iter().find(|(given, value)| given == name && !value.is_empty());
            found.map(|(_, value)| value.clone())
        };
        let missing = |name| Answer::invalid("parameter_missing", name, &format!("Missing required param: {name}."));
        let amount = value("amount").ok_or_else(|| missing("amount"))?;
        let amount = amount.parse().map_err(|_| {
            Answer::invalid("parameter_invalid_integer", "amount", &format!("Invalid integer: {amount}"))
        })?;
        if amount < 1 {
            let message = "This value must be greater than or equal to 1.";
            return Err(Answer::invalid("parameter_invalid_integer", "amount", message));
        }
        let types = parameters.iter().filter(|(name, _)| name.starts_with("payment_method_types["));
        Ok(PaymentRequest {
            key: key(headers)?,
            amount,
            currency: value("currency").ok_or_else(|| missing("currency"))?.to_lowercase(),
            confirm: value("confirm").as_deref() == Some("true"),
            payment_method: value("payment_method"),
            payment_method_types: types.map(|(_, value)| value.clone()).collect(),
            metadata: parameters.iter().filter_map(metadata).collect(),
            parameters,
        })
    }

    /// What is wrong with it before anything is done; such an answer is kept under no key.
    ///
    /// # Errors
    /// The answer.
    pub fn check(&self) -> Result<(), Answer> {
        match &self.payment_method {
            Some(method) if !method.starts_with(METHOD_PREFIX) => {
                let message = format!("No such PaymentMethod: '{method}'");
                Err(Answer::invalid("resource_missing", "payment_method", &message))
            }
            None if self.confirm => {
                let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
                Err(Answer::invalid("payment_intent_unexpected_state", "payment_method", message))
            }
            _ => Ok(()),
        }
    }

    /// Why the card is declined; none: it is not.
    pub fn declined(&self) -> Option<&'static str> {
        let method = self.payment_method.as_deref()?;
        DECLINED.iter().find(|(name, _)| *name == method).map(|(_, reason)| *reason)
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Answer> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = key.to_str().map_err(|_| Answer::bad_key("Idempotency keys are of visible characters."))?;
    if key.is_empty() || key.len() > KEY_MAX_CHARS {
        return Err(Answer::bad_key(&format!("Idempotency keys have 1 to {KEY_MAX_CHARS} characters.")));
    }
    Ok(Some(key.to_owned()))
}

/// The name and the value of `metadata[name]=value`.
fn metadata((name, value): &(String, String)) -> Option<(String, String)> {
    let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
    Some((name.to_owned(), value.clone()))
}

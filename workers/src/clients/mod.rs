//! The outside world, as far as the workers talk to it.

pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod mail;
pub(crate) mod standard_webhooks;

//! `Prefer`, `Idempotency-Key`, `Accept-Language`, `Human-Token`, `traceparent`, `Host` and what proxies add.

#![no_main]

libfuzzer_sys::fuzz_target!(|lines: &[u8]| api::fuzzing::headers(lines));

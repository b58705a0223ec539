//! Tokens of shoppers (JWT).

#![no_main]

libfuzzer_sys::fuzz_target!(|token: &str| api::fuzzing::token(token));

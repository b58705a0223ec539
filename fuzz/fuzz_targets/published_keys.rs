//! Keys that an issuer publishes (JWKS).

#![no_main]

libfuzzer_sys::fuzz_target!(|set: &[u8]| api::fuzzing::keys(set));

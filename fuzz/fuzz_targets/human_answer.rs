//! The answers of a verifier of persons.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| api::fuzzing::human_answer(body));

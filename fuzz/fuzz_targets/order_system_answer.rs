//! What is kept of the answers of the order system and of whoever hears of alerts.

#![no_main]

libfuzzer_sys::fuzz_target!(|answer: &[u8]| workers::fuzzing::kept_answer(answer));

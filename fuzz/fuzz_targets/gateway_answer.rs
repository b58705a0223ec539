//! The answers of the payment gateway.

#![no_main]

libfuzzer_sys::fuzz_target!(|answer: (u16, &[u8])| workers::fuzzing::gateway_answer(answer.0, answer.1));

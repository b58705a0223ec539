//! Bodies of commands.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| api::fuzzing::body(body));

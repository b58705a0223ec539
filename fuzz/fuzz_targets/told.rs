//! The messages in which workers tell outcomes.

#![no_main]

libfuzzer_sys::fuzz_target!(|message: &[u8]| lanes::fuzzing::told(message));

//! The records of commands, as Redis answers them.

#![no_main]

libfuzzer_sys::fuzz_target!(|parts: (&[u8], &[u8])| lanes::fuzzing::record(parts.0, parts.1));

//! Names of groups, lanes and quotas.

#![no_main]

libfuzzer_sys::fuzz_target!(|name: &str| lanes::fuzzing::name(name));

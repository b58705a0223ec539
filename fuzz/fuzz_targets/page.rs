//! The cursor and the limit of a list.

#![no_main]

libfuzzer_sys::fuzz_target!(|page: (&str, &str)| api::fuzzing::page(page.0, page.1));

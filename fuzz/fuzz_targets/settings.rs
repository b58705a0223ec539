//! Settings: durations, and addresses of servers outside.

#![no_main]

use std::net::IpAddr;

use runtime::config::{check_target, parse_duration, parse_durations};

libfuzzer_sys::fuzz_target!(|setting: (&str, &str, bool)| {
    let (text, other, allowed) = setting;
    let _ = (parse_duration(text), parse_durations(text));
    if check_target(text, Some(other), allowed).is_ok() && text != "https" {
        let bare = other.trim_start_matches('[').trim_end_matches(']');
        let is_here = bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        assert!(text == "http" && (allowed || is_here), "{text} {other}");
    }
});

//! Whatever stands in a setting or in a header about addresses, those who read it say yes or no.

use std::net::{IpAddr, Ipv6Addr};

use proptest::prelude::*;

use super::{RateLimit, TrustedProxies, check_target, parse_duration, parse_durations};

/// Addresses as headers and settings have them, and other texts.
fn addresses() -> impl Strategy<Value = String> {
    let address = any::<IpAddr>().prop_map(|address| address.to_string());
    let mapped = any::<std::net::Ipv4Addr>().prop_map(|address| format!("::ffff:{address}"));
    let network = (any::<Ipv6Addr>(), 0..140_u8).prop_map(|(address, bits)| format!("{address}/{bits}"));
    prop_oneof![address, mapped, network, any::<String>(), "[0-9a-f:./, ]{0,40}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_caller_is_one_whom_somebody_named(
        peer in any::<IpAddr>(),
        proxies in proptest::collection::vec(addresses(), 0..3),
        heard in proptest::collection::vec(proptest::collection::vec(addresses(), 0..3), 0..3),
    ) {
        let lists: Vec<String> = heard.iter().map(|list| list.join(", ")).collect();
        let client = |proxies: &TrustedProxies| proxies.client(peer, lists.iter().map(String::as_str));
        prop_assert_eq!(client(&TrustedProxies::default()), peer.to_canonical(), "nobody is believed");
        let everybody: TrustedProxies = "0.0.0.0/0,::/0".parse().expect("networks");
        for proxies in [proxies.join(",").parse().unwrap_or_default(), everybody] {
            let client = client(&proxies);
            let is_named = lists.iter().flat_map(|list| list.split(',')).any(|word| {
                word.trim().parse::<IpAddr>().is_ok_and(|address| address.to_canonical() == client)
            });
            prop_assert!(client == peer.to_canonical() || is_named, "{} is nobody", client);
        }
    }

    #[test]
    fn a_setting_is_read_or_refused(text in prop_oneof![any::<String>(), "[0-9a-z ,./-]{0,30}"]) {
        if let Ok(list) = parse_durations(&text) {
            let entries = text.split(',').filter(|_| !text.trim().is_empty()).count();
            prop_assert_eq!(list.len(), entries);
        }
        let _ = parse_duration(&text);
        if let Ok(RateLimit::PerSecond(count)) = RateLimit::parse(&text) {
            prop_assert_eq!(text.trim().trim_start_matches('+').trim_start_matches('0'), format!("{count}/s"));
        }
    }

    #[test]
    fn what_is_sent_in_the_open_stays_here(host in prop_oneof![any::<String>(), addresses()], scheme in "https?|[a-z]{0,5}") {
        if check_target(&scheme, Some(&host), false).is_ok() && scheme != "https" {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let is_here = bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
            prop_assert!(scheme == "http" && (is_here || bare.eq_ignore_ascii_case("localhost")), "{} {}", scheme, host);
        }
    }
}

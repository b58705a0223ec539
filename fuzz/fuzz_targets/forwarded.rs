//! Who called, as proxies say: the networks that are trusted, who is connected, and the values of `X-Forwarded-For`.

#![no_main]

use std::net::IpAddr;

use runtime::config::TrustedProxies;

libfuzzer_sys::fuzz_target!(|heard: (&str, IpAddr, Vec<&str>)| {
    let (networks, peer, lists) = heard;
    assert_eq!(TrustedProxies::default().client(peer, lists.iter().copied()), peer.to_canonical());
    if let Ok(proxies) = networks.parse::<TrustedProxies>() {
        let client = proxies.client(peer, lists.iter().copied());
        let mut words = lists.iter().flat_map(|list| list.split(','));
        let is_named =
            words.any(|word| word.trim().parse::<IpAddr>().is_ok_and(|named| named.to_canonical() == client));
        assert!(client == peer.to_canonical() || is_named, "{client} is nobody");
    }
});

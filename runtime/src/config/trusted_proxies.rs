//! Whose word on a caller's address is taken.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// The networks of the proxies in front; by default none. Parsed from a list with commas of networks (`10.0.0.0/8`) and
/// single addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl FromStr for TrustedProxies {
    type Err = String;

    /// A sentence that names the entry that is wrong.
    fn from_str(text: &str) -> Result<TrustedProxies, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(network).collect::<Result<_, _>>().map(TrustedProxies)
    }
}

fn network(entry: &str) -> Result<IpNet, String> {
    let network = entry.parse().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| format!("{entry:?} is no network such as 10.0.0.0/8"))
}

impl TrustedProxies {
    /// The address of whoever began this: the nearest one that is no proxy of ours. `forwarded` are the values of
    /// `X-Forwarded-For`, in order; each proxy adds at the end whom it heard from, so all before the first stranger from
    /// the end may be made up.
    pub fn client<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut heard = forwarded.rev().flat_map(|list| list.rsplit(',')).map(str::trim);
        while self.trusts(client) {
            let Some(before) = heard.next().and_then(address) else {
                break;
            };
            client = before.to_canonical();
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The address in an entry of `X-Forwarded-For`; some proxies write the port, too, and an IPv6 address in brackets.
fn address(entry: &str) -> Option<IpAddr> {
    let alone = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().map(IpAddr::V6).ok();
    let with_port = || entry.parse::<SocketAddr>().map(|before| before.ip()).ok();
    entry.parse().ok().or_else(with_port).or_else(alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_lists_can_be_read() {
        let rows = [
            ("", true),
            ("10.0.0.0/8", true),
            (" 10.0.0.0/8 , 192.168.1.7,fd00::/8,::1 ", true),
            ("10.0.0.0/33", false),
            ("proxy", false),
            ("10.0.0.0/8;::1", false),
        ];
        for (text, meant) in rows {
            assert_eq!(text.parse::<TrustedProxies>().is_ok(), meant, "{text:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_who_called() {
        let trusted = "10.0.0.0/8,::1";
        let rows: [(&str, &str, &[&str], &str); 17] = [
            ("", "10.0.0.1", &["1.2.3.4"], "10.0.0.1"),
            (trusted, "10.0.0.1", &[], "10.0.0.1"),
            (trusted, "10.0.0.1", &["1.2.3.4"], "1.2.3.4"),
            (trusted, "::ffff:10.0.0.1", &["1.2.3.4"], "1.2.3.4"),
            (trusted, "::1", &["2001:db8::7"], "2001:db8::7"),
            (trusted, "5.6.7.8", &["1.2.3.4"], "5.6.7.8"),
            // What stands before the first stranger from the end is only what that one says.
            (trusted, "10.0.0.1", &["9.9.9.9, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
            (trusted, "10.0.0.1", &["9.9.9.9", "1.2.3.4"], "1.2.3.4"),
            (trusted, "10.0.0.1", &["10.0.0.3,10.0.0.2"], "10.0.0.3"),
            (trusted, "10.0.0.1", &["1.2.3.4, unknown"], "10.0.0.1"),
            (trusted, "10.0.0.1", &["9.9.9.9:1, 1.2.3.4:5678, 10.0.0.2:80"], "1.2.3.4"),
            (trusted, "10.0.0.1", &["[2001:db8::7]:80"], "2001:db8::7"),
            (trusted, "10.0.0.1", &["2001:db8::7, [::1]:80"], "2001:db8::7"),
            (trusted, "10.0.0.1", &["[2001:db8::7]"], "2001:db8::7"),
            (trusted, "10.0.0.1", &["[1.2.3.4]"], "10.0.0.1"),
            (trusted, "10.0.0.1", &["1.2.3.4:"], "10.0.0.1"),
            (trusted, "10.0.0.1", &["1.2.3.4:99999"], "10.0.0.1"),
        ];
        for (proxies, peer, forwarded, client) in rows {
            let proxies: TrustedProxies = proxies.parse().unwrap();
            let found = proxies.client(peer.parse().unwrap(), forwarded.iter().copied());
            assert_eq!(found.to_string(), client, "{peer} {forwarded:?}");
        }
    }
}

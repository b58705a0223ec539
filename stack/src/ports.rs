//! Free loopback ports that stay free long enough to be used, and used again.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::Mutex;

/// Ports below this belong to well-known services.
const LOWEST_PORT: u16 = 15_000;
/// Where Linux starts to take ports for outgoing connections unless it says otherwise.
const EPHEMERAL_PORT_DEFAULT: u16 = 32_768;
/// A range narrower than this is not worth the trouble.
const RANGE_MIN_PORTS: u16 = 1_000;
const TRIES_MAX: usize = 10_000;

/// A loopback port nobody listens on, never given out twice by this process.
///
/// It lies below the range from which the kernel serves outgoing connections: a load test opens
/// and closes thousands of those, and one of them would sooner or later sit on the port of a
/// server that is just being started again. Another process may still be quicker: a server
/// started on this port must be ready to hear "address in use".
///
/// # Panics
/// When no port is free, which means that the machine is unusable for a server anyway.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let given = given.get_or_insert_default();
    let range = below_ephemeral();
    let width = range.end - range.start;
    // Each `RandomState` is seeded apart, in every process, so neighbours start elsewhere.
    let [.., high, low] = RandomState::new().hash_one(std::process::id()).to_be_bytes();
    let start = u16::from_be_bytes([high, low]) % width;
    let ports = (range.start..range.end).cycle().skip(usize::from(start));
    for port in ports.take(TRIES_MAX.min(usize::from(width))) {
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given.insert(port);
            return port;
        }
    }
    panic!("no free loopback port between {} and {}", range.start, range.end);
}

fn below_ephemeral() -> Range<u16> {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(EPHEMERAL_PORT_DEFAULT);
    if first >= LOWEST_PORT + RANGE_MIN_PORTS { LOWEST_PORT..first } else { LOWEST_PORT..EPHEMERAL_PORT_DEFAULT }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait_for;
    use std::time::Duration;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[test]
    fn ports_are_free_and_never_the_same_twice() {
        // A process that is just being started by a neighbour holds what was open here until it becomes its program.
        let listen_at = |port| {
            let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
            wait_for(&format!("the port {port} to be free"), DEADLINE, listen)
        };
        let listeners: Vec<_> = (0..50).map(|_| listen_at(free_port())).collect();
        let ports: HashSet<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 50);
        drop(listeners);
        assert!(ports.iter().all(|port| free_port() != *port));
    }
}

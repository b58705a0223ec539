//! Connections that cost a place each and send nothing, or a byte at a time.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use stack::wait_for_async;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::shop::{DEADLINE, Shop};

const IDLE: usize = 10_000;

/// Senders who never come to an end of their head or of their body.
const SLOW: usize = 500;

/// Connections that are opened together: the backlog of an ordinary kernel is short.
const OPENED_TOGETHER: usize = 64;

/// Files that this process and the programs have open besides.
const OTHER_FILES: u64 = 1_000;

/// How often a slow sender sends a byte.
const BYTE_EVERY: Duration = Duration::from_secs(1);

/// What slow senders begin with.
const HALF_HEAD: &[u8] = b"POST /api/coupons/C1/issue HTTP/1.1\r\nhost: shop\r\nx-slow: ";
const HALF_BODY: &[u8] =
    b"POST /api/coupons/C1/issue HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{";

async fn open(shop: &Shop, count: usize) -> Vec<TcpStream> {
    let address = shop.base.trim_start_matches("http://");
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let few = OPENED_TOGETHER.min(count - all.len());
        all.extend(futures::future::try_join_all((0..few).map(|_| TcpStream::connect(address))).await.unwrap());
    }
    all
}

/// Whether this process may have as many files open.
fn has_room(connections: usize) -> bool {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let wanted = connections as u64 + OTHER_FILES;
    if maximum.is_some_and(|maximum| maximum < wanted) {
        stack::tell_skipped(format!("a process may have only {maximum:?} files open here, and {wanted} are needed"));
        return false;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        stack::tell_skipped(format!("this process may not have {maximum:?} files open: {error}"));
        return false;
    }
    true
}

/// How many have not been closed, and have been sent nothing.
fn count_open(streams: &[TcpStream]) -> usize {
    let nothing_yet = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    streams.iter().filter(|stream| stream.try_read(&mut [0]).is_err_and(nothing_yet)).count()
}

/// Everybody else is served as if they were not there.
async fn others_are_served(shop: &Shop, name: &str) {
    for number in 0..20 {
        let (status, body) = shop.decided(shop.claim("C1", &format!("{name}{number}"))).await;
        assert_eq!(status, 201, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_harm_nobody() {
    if !has_room(IDLE) {
        return;
    }
    let shop = Shop::open().await;
    shop.coupon("C1", 1_000).await;
    let idle = open(&shop, IDLE).await;
    assert_eq!(count_open(&idle), IDLE, "all are open before anybody else comes");
    let (status, body) = shop.decided(shop.claim("C1", "beside")).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(count_open(&idle), IDLE, "somebody was served while all of them were open");
    // Those who rest for too long are let go meanwhile, sooner or later.
    others_are_served(&shop, "user").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_harm_nobody_and_are_let_go() {
    let shop = Shop::open().await;
    shop.coupon("C1", 1_000).await;
    let mut heads = open(&shop, SLOW).await;
    let mut bodies = open(&shop, SLOW).await;
    for (streams, begin) in [(&mut heads, HALF_HEAD), (&mut bodies, HALF_BODY)] {
        for stream in streams.iter_mut() {
            stream.write_all(begin).await.unwrap();
        }
    }
    let dripping = heads.into_iter().chain(bodies).map(|mut stream| {
        tokio::spawn(async move {
            let mut pace = tokio::time::interval(BYTE_EVERY);
            // Until it is let go: a byte that cannot be sent, or an answer that ends the connection.
            loop {
                let mut answer = [0; 1_024];
                tokio::select! {
                    _ = pace.tick() => if stream.write_all(b"x").await.is_err() { return },
                    read = stream.read(&mut answer) => if !matches!(read, Ok(bytes) if bytes > 0) { return },
                }
            }
        })
    });
    let dripping: Vec<_> = dripping.collect();
    others_are_served(&shop, "beside").await;
    assert!(dripping.iter().any(|one| !one.is_finished()), "slow senders were gone before anybody else came");
    wait_for_async("all slow senders to be let go", DEADLINE, async || {
        dripping.iter().all(tokio::task::JoinHandle::is_finished).then_some(())
    })
    .await;
    others_are_served(&shop, "after").await;
    let (status, body) = shop.get("/api/coupons").await;
    assert_eq!((status, &body["coupons"][0]["couponId"]), (200, &json!("C1")), "{body}");
}

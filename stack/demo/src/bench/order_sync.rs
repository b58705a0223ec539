//! How many orders a second one workers process tells to an order system that takes its time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Scale;
use super::results::OrderSync;
use super::throughput::{Bench, once};
use super::workload::Workload;

/// What a quick order system on the same continent takes for an answer.
const ANSWER_MS: u64 = 20;

/// Any key will do.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The first sends must have begun within this time.
const BEGUN_WITHIN_SECONDS: u64 = 30;

const LOOK_EVERY_MS: u64 = 20;

/// Places orders, and measures how many of those that wait are sent and noted a second.
///
/// # Errors
/// When orders cannot be placed, or nothing is sent.
pub async fn measure(bench: &mut Bench, orders: &Workload, scale: Scale) -> Result<OrderSync> {
    let placed = once(bench, orders, "to be sent").await.context("placing orders to be sent")?;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("opening an order system")?;
    let url = format!("http://{}/orders", listener.local_addr().context("its address")?);
    let system = tokio::spawn(serve(listener));

    let mut step = bench.screen.step(&format!("sending orders to a receiver that answers in {ANSWER_MS} ms"));
    let sender = bench.shop.start_sender(&url, SECRET)?;
    let began = Instant::now();
    let before = synced(bench).await?;
    while synced(bench).await? == before {
        ensure!(began.elapsed() < Duration::from_secs(BEGUN_WITHIN_SECONDS), "no order was sent");
        tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
    }
    let (first, counting) = (synced(bench).await?, Instant::now());
    let (mut last, mut took) = (first, Duration::ZERO);
    while took < scale.during && waiting(bench).await? {
        tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
        (last, took) = (synced(bench).await?, counting.elapsed());
    }
    drop(sender);
    system.abort();
    let per_second = (last - first) as f64 / took.as_secs_f64();
    step.remark(&format!("{per_second:.0}/s"));
    step.done();
    ensure!(
        placed.committed_per_second > 0.0 && last > first,
        "{last} orders were sent, {first} before it was measured"
    );
    Ok(OrderSync { answer_ms: ANSWER_MS, sent_per_second: per_second })
}

/// Orders of which it was noted that they were sent.
async fn synced(bench: &mut Bench) -> Result<i64> {
    sqlx::query_scalar("select count(*) from order_syncs where synced_at is not null")
        .fetch_one(&mut bench.connection)
        .await
        .context("counting orders that were sent")
}

async fn waiting(bench: &mut Bench) -> Result<bool> {
    sqlx::query_scalar("select exists (select from order_syncs where synced_at is null)")
        .fetch_one(&mut bench.connection)
        .await
        .context("looking for orders that wait to be sent")
}

/// An order system that takes everything, in its time.
async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        connections.spawn(answer_all(connection));
    }
}

/// Answers until the sender hangs up.
async fn answer_all(connection: TcpStream) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if connection.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if let Some((name, value)) = line.split_once(':') {
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().unwrap_or(0);
                }
            } else if line.trim().is_empty() {
                break;
            }
        }
        body.resize(length, 0);
        connection.read_exact(&mut body).await?;
        tokio::time::sleep(Duration::from_millis(ANSWER_MS)).await;
        connection.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
}

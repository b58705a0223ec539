//! Messages of Redis: a batch was decided, a sleeper may wake. Each is a hint that may be lost: after every
//! (re)connection the listener is told so, and looks again instead of trusting it.

use futures::StreamExt;
use redis::aio::{PubSub, PubSubSink};
use uuid::Uuid;

use crate::{
    Error, Group, Link,
    limits::{CONNECT_TIMEOUT, FAULT_PAUSE, LISTEN_SILENCE_MAX, RESPONSE_TIMEOUT},
};

/// An outcome, as it was acked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The command.
    pub id: Uuid,
    /// Its outcome.
    pub outcome: &'a [u8],
}

/// Listens for outcomes of the link's groups until dropped. `connected` is called after every (re)connection: messages may
/// have been missed before it. `decided` is called once per batch.
pub async fn listen_decided(link: &Link, connected: impl Fn(), decided: impl Fn(Vec<Decision<'_>>)) {
    let Some(first) = link.groups().first() else { return };
    let channels: Vec<_> = link.groups().iter().map(Group::decided_channel).collect();
    listen(link, first, &channels, connected, |payload| decided(read_decisions(payload))).await;
}

/// Listens for wake-ups of one group's workers until dropped. `wake` is also called after every (re)connection.
pub async fn listen_wake(link: &Link, group: &Group, wake: impl Fn()) {
    listen(link, group, &[group.wake_channel()], &wake, |_| wake()).await;
}

/// At the server of one group: the nodes of a Cluster hand on to each other what is published at one of them.
async fn listen(link: &Link, at: &Group, channels: &[String], connected: impl Fn(), message: impl Fn(&[u8])) {
    let mut failed = false;
    loop {
        match subscribe(link, at, channels).await {
            Ok(subscription) => {
                failed = false;
                connected();
                let (mut sink, mut stream) = subscription.split();
                loop {
                    match tokio::time::timeout(LISTEN_SILENCE_MAX, stream.next()).await {
                        Ok(Some(received)) => message(received.get_payload_bytes()),
                        Ok(None) => break,
                        Err(_) if is_alive(&mut sink).await => {}
                        Err(_) => break,
                    }
                }
            }
            // One line per outage, not per attempt.
            Err(error) if !failed => {
                failed = true;
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(error, "listening to {} failed; trying again until it works", channels.join(", "));
            }
            Err(_) => {}
        }
        tokio::time::sleep(FAULT_PAUSE).await;
    }
}

/// Whether somebody is at the other end. A message that comes meanwhile waits in the stream.
async fn is_alive(sink: &mut PubSubSink) -> bool {
    matches!(tokio::time::timeout(RESPONSE_TIMEOUT, sink.ping::<redis::Value>()).await, Ok(Ok(_)))
}

async fn subscribe(link: &Link, at: &Group, channels: &[String]) -> Result<PubSub, Error> {
    let client = link.client(at).await?;
    let subscribing = async {
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe(channels).await?;
        Ok(subscription)
    };
    tokio::time::timeout(CONNECT_TIMEOUT, subscribing)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
        .map_err(Error::Connect)
}

/// A message is `<id> <length>\n` for every command of the batch, a line feed, and then the outcomes one behind the
/// other. What cannot be read is skipped: whoever waits for it looks again after a while.
pub(crate) fn read_decisions(payload: &[u8]) -> Vec<Decision<'_>> {
    let Some(end) = payload.windows(2).position(|two| two == b"\n\n") else {
        return Vec::new();
    };
    let (Ok(head), mut outcomes) = (str::from_utf8(&payload[..end]), &payload[end + 2..]) else {
        return Vec::new();
    };
    let mut decisions = Vec::new();
    for line in head.lines() {
        let Some((id, outcome, rest)) = read_decision(line, outcomes) else { break };
        decisions.push(Decision { id, outcome });
        outcomes = rest;
    }
    decisions
}

fn read_decision<'a>(line: &str, outcomes: &'a [u8]) -> Option<(Uuid, &'a [u8], &'a [u8])> {
    let (id, length) = line.split_once(' ')?;
    let (outcome, rest) = outcomes.split_at_checked(length.parse().ok()?)?;
    Some((id.parse().ok()?, outcome, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_holds_the_outcomes_of_a_batch() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let payload = format!("{a} 5\n{b} 0\n\nfirst");
        let decisions = read_decisions(payload.as_bytes());
        assert_eq!(decisions, [Decision { id: a, outcome: b"first" }, Decision { id: b, outcome: b"" }]);
    }

    #[test]
    fn what_cannot_be_read_is_skipped() {
        for payload in
            ["", "nonsense", "not-an-id 3\n\nabc", "00000000-0000-0000-0000-000000000001 9\n\nshort", "a 1\nb"]
        {
            assert!(read_decisions(payload.as_bytes()).is_empty(), "{payload:?}");
        }
    }
}

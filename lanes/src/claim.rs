//! Taking the head of the line.

use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::{
    Error, Group, IdempotencyKey, Lanes,
    limits::LEASE_MAX,
    script::{CLAIM, REAP, RENEW, Reader, milliseconds},
};

/// How much one claim may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimLimits {
    /// Commands of a batch.
    pub commands_max: usize,
    /// Lane entries of a batch: the sum over its commands of the lanes that each stands in.
    pub entries_max: usize,
    /// For how long the lanes belong to the batch.
    pub lease: Duration,
}

/// A command in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The id under which it was appended.
    pub id: Uuid,
    /// Its arrival number.
    pub ticket: u64,
    /// When it was accepted, in microseconds since 1970.
    pub accepted_at_us: i64,
    /// The lanes in which it stands.
    pub lanes: Vec<String>,
    /// The caller's key, if it came with one.
    pub key: Option<IdempotencyKey>,
    /// What was appended.
    pub envelope: Vec<u8>,
}

/// Commands leased to one worker, by rising ticket. In every lane they are the first ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The group of the lanes.
    pub group: Group,
    /// Names the lease.
    pub token: Uuid,
    /// The commands, never none.
    pub entries: Vec<Entry>,
    /// Whether a batch with these commands failed before. Such batches fly one at a time, so that a failure is blamed on
    /// the right one.
    pub suspect: bool,
    /// Whether the command is alone in this batch, and was in one that was blamed or ended with its worker. It may be what
    /// ends workers, so a worker that would take its other work with it should have none in hand beside it.
    pub blamed: bool,
    /// How often the command failed while it was alone in a batch; 0 when this batch has several.
    pub failures_alone: u32,
    /// When it was claimed, by Redis' clock, in microseconds since 1970.
    pub claimed_at_us: i64,
}

/// The answer to a claim.
#[derive(Debug)]
pub struct Claim {
    /// The batch, if anybody was ready.
    pub batch: Option<Batch>,
    /// Batches of others whose lease had expired and that were given back.
    pub expired: u64,
    /// When the next lease of somebody ends, from now.
    pub next_deadline: Option<Duration>,
}

impl Lanes {
    /// Leases a batch: ready commands oldest first, then those that become first once these are gone.
    ///
    /// # Errors
    /// When Redis cannot be reached or does not answer in time. A batch may then be leased without anybody knowing of
    /// it; its lease will expire, unless [`Lanes::claim_as`] asks again.
    pub async fn claim(&self, limits: ClaimLimits) -> Result<Claim, Error> {
        self.claim_as(Uuid::now_v7(), limits).await
    }

    /// The same under a name for the lease. Whoever did not hear the answer asks again with the same one, and gets the batch
    /// that was leased then, if it still is.
    ///
    /// # Errors
    /// As [`Lanes::claim`].
    ///
    /// # Panics
    /// When the lease is longer than [`LEASE_MAX`].
    pub async fn claim_as(&self, token: Uuid, limits: ClaimLimits) -> Result<Claim, Error> {
        assert!(limits.lease <= LEASE_MAX, "a lease of {:?}", limits.lease);
        let value = self
            .run(&CLAIM, |call| {
                call.arg(token.to_string()).arg(milliseconds(limits.lease));
                call.arg(limits.commands_max).arg(limits.entries_max).arg(milliseconds(LEASE_MAX));
            })
            .await?;
        let reply = Reader::new(&CLAIM, &value);
        let expired = reply.at(0)?.count()?;
        let next_deadline = u64::try_from(reply.at(1)?.integer()?).ok().map(Duration::from_millis);
        let blamed_alone = u64::try_from(reply.at(2)?.integer()?).ok();
        let claimed_at_us = reply.at(3)?.parsed()?;
        let suspect = reply.at(4)?.integer()? == 1;

        const FIRST_ENTRY: usize = 5;
        let count = reply.items()?.len();
        let mut entries = Vec::with_capacity((count - FIRST_ENTRY) / 2);
        for at in (FIRST_ENTRY..count).step_by(2) {
            entries.push(read_entry(reply.at(at)?, reply.at(at + 1)?)?);
        }
        entries.sort_unstable_by_key(|entry| entry.ticket);
        let batch = (!entries.is_empty()).then(|| Batch {
            group: self.group.clone(),
            token,
            entries,
            suspect,
            blamed: blamed_alone.is_some(),
            failures_alone: u32::try_from(blamed_alone.unwrap_or_default()).unwrap_or(u32::MAX),
            claimed_at_us,
        });
        Ok(Claim { batch, expired, next_deadline })
    }

    /// Prolongs the lease, counted from now. False when it is not ours any more.
    ///
    /// # Errors
    /// When Redis cannot be reached or does not answer in time.
    pub async fn renew(&self, token: Uuid, lease: Duration) -> Result<bool, Error> {
        let value = self
            .run(&RENEW, |call| {
                call.arg(token.to_string()).arg(milliseconds(lease));
            })
            .await?;
        Ok(Reader::new(&RENEW, &value).integer()? == 1)
    }

    /// Gives back batches whose lease has expired, at most `batches_max`, and answers how many. Every claim does the
    /// same first; this is for whoever does not claim.
    ///
    /// # Errors
    /// When Redis cannot be reached or does not answer in time.
    pub async fn reap(&self, batches_max: usize) -> Result<u64, Error> {
        let value = self
            .run(&REAP, |call| {
                call.arg(batches_max).arg(milliseconds(LEASE_MAX));
            })
            .await?;
        Reader::new(&REAP, &value).count()
    }
}

/// A record is `<ticket> <acceptedAt> <key or -> <body or -> <lane> …\n<envelope>`.
pub(crate) fn read_entry(id: Reader<'_>, record: Reader<'_>) -> Result<Entry, Error> {
    let bytes = record.bytes()?;
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or_else(|| record.unreadable())?;
    let header = std::str::from_utf8(&bytes[..end]).map_err(|_| record.unreadable())?;
    let mut words = header.split(' ');
    let mut next = || words.next().ok_or_else(|| record.unreadable());
    let ticket = next()?.parse().map_err(|_| record.unreadable())?;
    let accepted_at_us = next()?.parse().map_err(|_| record.unreadable())?;
    let (digest, body) = (next()?, next()?);
    let key = (digest != "-").then(|| IdempotencyKey { digest: digest.to_owned(), body: body.to_owned() });
    let lanes = words.map(str::to_owned).collect();
    Ok(Entry { id: id.parsed()?, ticket, accepted_at_us, lanes, key, envelope: bytes[end + 1..].to_vec() })
}

impl Entry {
    /// When it was accepted.
    pub fn accepted_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.accepted_at_us.unsigned_abs())
    }
}

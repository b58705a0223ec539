//! A small report for tests.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Phase, Report};
use crate::admin::{Audit, AuditCheck};
use crate::checks::Check;
use crate::facts::Batch;
use crate::load::{Code, Outcome, Tally};
use crate::machine::Machine;

/// Ten shoppers for two coupons: three were in the line before the gate closed.
pub fn report() -> Report {
    let began_at = DateTime::<Utc>::UNIX_EPOCH;
    let sold_out = Code::parse("C001").unwrap();
    let mut tally = Tally::new(Instant::now());
    for (ms, outcome) in [(3, Outcome::Succeeded), (5, Outcome::Succeeded), (40, Outcome::Refused(sold_out))] {
        tally.accepted(Some(Duration::from_millis(ms)));
        tally.decided(outcome, Duration::from_millis(10 * ms));
        tally.told.push((Uuid::now_v7(), Some(outcome)));
    }
    (0..7).for_each(|_| tally.turned_away(sold_out));
    let batch = |size, ms| {
        let decided_at = began_at + TimeDelta::milliseconds(ms);
        Batch { size, claimed_at: began_at, decided_at }
    };
    Report {
        made_at: began_at,
        machine: Machine {
            cpu: "A & B <fast>".to_owned(),
            cores: 2,
            memory_gib: 23,
            kernel: "linux 6".to_owned(),
            system: "Debian".to_owned(),
            postgres: "15".to_owned(),
            redis: "7".to_owned(),
            droplane: "0".to_owned(),
        },
        load: "closed loop".to_owned(),
        phases: vec![Phase {
            name: "Coupon claims",
            sent: 10,
            tally,
            began_at,
            batches: vec![batch(2, 30), batch(1, 60)],
            tickets: ["SUCCEEDED", "SUCCEEDED", "C001"].map(str::to_owned).into(),
        }],
        checks: vec![Check { name: "nothing was oversold", ok: true, found: "2 products, 0 wrong".to_owned() }],
        audit: Audit {
            ok: true,
            checks: vec![AuditCheck { name: "no-oversell".to_owned(), ok: true, examined: 2, violations: 0 }],
        },
    }
}

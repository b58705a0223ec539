//! What may go wrong in the outside world: a switch for each part of it.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::limits::SLOW_MAX_MS;

/// Statuses that say that something failed. The mail server tells in the same numbers: from 400 for now, from 500 for good.
const FAILURES: std::ops::RangeInclusive<u16> = 400..=599;

const STATUS_DEFAULT: u16 = 500;

/// A part of the outside world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The payment gateway: `POST /v1/payment_intents`.
    Gateway,
    /// The order system: `POST /orders`.
    Orders,
    /// The mail server, when it has read a mail and is to take it.
    Mail,
    /// Whoever hears of alerts: `POST /alerts`.
    Alerts,
    /// The verifier of proofs of being human: `POST /siteverify`.
    Humans,
}

/// How a part behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As it should.
    Ok,
    /// It does nothing, and answers with this status (400–599); the mail server with this reply.
    Fail {
        /// The status.
        status: u16,
    },
    /// It does nothing, and never answers. A key of the gateway is in flight until the client hangs up.
    Hang,
    /// It does what it should, after so many milliseconds; the gateway also when the client has hung up.
    Slow {
        /// How many milliseconds.
        ms: u64,
    },
    /// It does nothing, and closes the connection; the mail server says before that it lets nobody in.
    Refuse,
    /// It does what it should, and its answer comes a byte a second.
    Drip,
    /// It does nothing, and says that it is to be found elsewhere: at an address within, where nobody should come.
    Redirect,
    /// It does nothing, and answers 200 with 100 MB.
    Flood,
    /// The gateway takes the money, keeps its answer under the key, and never answers.
    TakeAndHang,
    /// The gateway takes the money, keeps its answer under the key, and answers with this status (400–599).
    TakeAndFail {
        /// The status.
        status: u16,
    },
    /// The gateway takes the money, keeps its answer under the key, and cuts the connection.
    TakeAndCut,
}

impl Mode {
    /// For the next so many requests; then all is well again.
    #[must_use]
    pub fn times(self, times: u32) -> Fault {
        Fault { mode: self, times: Some(times) }
    }
}

/// What is set at one switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Fault {
    /// How the part behaves.
    pub mode: Mode,
    /// For how many more requests; none: until it is set otherwise.
    pub times: Option<u32>,
}

impl From<Mode> for Fault {
    fn from(mode: Mode) -> Fault {
        Fault { mode, times: None }
    }
}

/// All switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Of the payment gateway.
    pub gateway: Fault,
    /// Of the order system.
    pub orders: Fault,
    /// Of the mail server.
    pub mail: Fault,
    /// Of whoever hears of alerts.
    pub alerts: Fault,
    /// Of the verifier of proofs of being human.
    pub humans: Fault,
}

impl Faults {
    fn of(&mut self, target: Target) -> &mut Fault {
        match target {
            Target::Gateway => &mut self.gateway,
            Target::Orders => &mut self.orders,
            Target::Mail => &mut self.mail,
            Target::Alerts => &mut self.alerts,
            Target::Humans => &mut self.humans,
        }
    }
}

/// The switches as requests find them.
#[derive(Debug)]
pub(crate) struct Switches(Mutex<Faults>);

impl Default for Switches {
    fn default() -> Switches {
        let ok = Fault::from(Mode::Ok);
        Switches(Mutex::new(Faults { gateway: ok, orders: ok, mail: ok, alerts: ok, humans: ok }))
    }
}

impl Switches {
    pub fn all(&self) -> Faults {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// A sentence when this part cannot behave like that.
    pub fn set(&self, target: Target, fault: Fault) -> anyhow::Result<()> {
        let takes_money = matches!(fault.mode, Mode::TakeAndHang | Mode::TakeAndFail { .. } | Mode::TakeAndCut);
        ensure!(target == Target::Gateway || !takes_money, "only the gateway takes money");
        let is_of_http = matches!(fault.mode, Mode::Drip | Mode::Redirect | Mode::Flood);
        ensure!(target != Target::Mail || !is_of_http, "the mail server neither drips nor redirects nor floods");
        check(fault)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).of(target) = fault;
        Ok(())
    }

    /// How the request that has come is met; it counts as one of the times.
    pub fn bite(&self, target: Target) -> Mode {
        self.bite_if(target, |_| true).unwrap_or(Mode::Ok)
    }

    /// The same, if it is of this kind; otherwise nothing counts yet.
    pub fn bite_if(&self, target: Target, is_meant: impl Fn(Mode) -> bool) -> Option<Mode> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = all.of(target);
        let mode = Some(fault.mode).filter(|mode| is_meant(*mode))?;
        match &mut fault.times {
            None => {}
            Some(0 | 1) => *fault = Mode::Ok.into(),
            Some(times) => *times -= 1,
        }
        Some(mode)
    }
}

fn check(fault: Fault) -> anyhow::Result<()> {
    ensure!(fault.times != Some(0), "times must be at least 1");
    match fault.mode {
        Mode::Fail { status } | Mode::TakeAndFail { status } => {
            let (least, most) = (FAILURES.start(), FAILURES.end());
            ensure!(FAILURES.contains(&status), "status must be {least} to {most}");
        }
        Mode::Slow { ms } => ensure!(ms <= SLOW_MAX_MS, "ms must be at most {SLOW_MAX_MS}"),
        Mode::Ok
        | Mode::Hang
        | Mode::Refuse
        | Mode::Drip
        | Mode::Redirect
        | Mode::Flood
        | Mode::TakeAndHang
        | Mode::TakeAndCut => {}
    }
    Ok(())
}

/// A fault as it is written: `{"mode":"fail","status":500,"times":3}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    mode: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    Ok,
    Fail,
    Hang,
    Slow,
    Refuse,
    Drip,
    Redirect,
    Flood,
    TakeAndHang,
    TakeAndFail,
    TakeAndCut,
}

impl TryFrom<Wire> for Fault {
    type Error = anyhow::Error;

    fn try_from(wire: Wire) -> anyhow::Result<Fault> {
        let status = wire.status.unwrap_or(STATUS_DEFAULT);
        let mode = match wire.mode {
            Name::Ok => Mode::Ok,
            Name::Fail => Mode::Fail { status },
            Name::Hang => Mode::Hang,
            Name::Slow => Mode::Slow { ms: wire.ms.context("slow needs ms")? },
            Name::Refuse => Mode::Refuse,
            Name::Drip => Mode::Drip,
            Name::Redirect => Mode::Redirect,
            Name::Flood => Mode::Flood,
            Name::TakeAndHang => Mode::TakeAndHang,
            Name::TakeAndFail => Mode::TakeAndFail { status },
            Name::TakeAndCut => Mode::TakeAndCut,
        };
        match (mode, wire.status, wire.ms) {
            (Mode::Fail { .. } | Mode::TakeAndFail { .. }, _, None)
            | (Mode::Slow { .. }, None, _)
            | (_, None, None) => {}
            _ => bail!("status belongs to fail and take_and_fail, ms to slow"),
        }
        Ok(Fault { mode, times: wire.times })
    }
}

impl From<Fault> for Wire {
    fn from(fault: Fault) -> Wire {
        let (mode, status, ms) = match fault.mode {
            Mode::Ok => (Name::Ok, None, None),
            Mode::Fail { status } => (Name::Fail, Some(status), None),
            Mode::Hang => (Name::Hang, None, None),
            Mode::Slow { ms } => (Name::Slow, None, Some(ms)),
            Mode::Refuse => (Name::Refuse, None, None),
            Mode::Drip => (Name::Drip, None, None),
            Mode::Redirect => (Name::Redirect, None, None),
            Mode::Flood => (Name::Flood, None, None),
            Mode::TakeAndHang => (Name::TakeAndHang, None, None),
            Mode::TakeAndFail { status } => (Name::TakeAndFail, Some(status), None),
            Mode::TakeAndCut => (Name::TakeAndCut, None, None),
        };
        Wire { mode, status, ms, times: fault.times }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_set_is_read_back_as_it_was_written() {
        for text in [
            r#"{"mode":"ok"}"#,
            r#"{"mode":"fail","status":503,"times":3}"#,
            r#"{"mode":"hang","times":1}"#,
            r#"{"mode":"slow","ms":2000}"#,
            r#"{"mode":"refuse"}"#,
            r#"{"mode":"drip","times":2}"#,
            r#"{"mode":"redirect"}"#,
            r#"{"mode":"flood"}"#,
            r#"{"mode":"take_and_hang"}"#,
            r#"{"mode":"take_and_fail","status":500}"#,
            r#"{"mode":"take_and_cut","times":2}"#,
        ] {
            let fault: Fault = serde_json::from_str(text).unwrap();
            Switches::default().set(Target::Gateway, fault).unwrap();
            assert_eq!(serde_json::to_string(&fault).unwrap(), text);
        }
        let fault: Fault = serde_json::from_str(r#"{"mode":"fail"}"#).unwrap();
        assert_eq!(fault, Mode::Fail { status: 500 }.into());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for text in [
            "{}",
            r#"{"mode":"loud"}"#,
            r#"{"mode":"slow"}"#,
            r#"{"mode":"ok","status":500}"#,
            r#"{"mode":"fail","ms":1}"#,
            r#"{"mode":"slow","ms":1,"status":500}"#,
            r#"{"mode":"ok","until":"tomorrow"}"#,
        ] {
            assert!(serde_json::from_str::<Fault>(text).is_err(), "{text}");
        }
        let refused = [
            (Target::Orders, Mode::TakeAndCut.into()),
            (Target::Mail, Mode::Drip.into()),
            (Target::Mail, Mode::Flood.into()),
            (Target::Gateway, Mode::Fail { status: 200 }.into()),
            (Target::Gateway, Mode::Slow { ms: SLOW_MAX_MS + 1 }.into()),
            (Target::Gateway, Mode::Hang.times(0)),
        ];
        for (target, fault) in refused {
            assert!(Switches::default().set(target, fault).is_err(), "{target:?} {fault:?}");
        }
    }

    #[test]
    fn a_fault_bites_as_often_as_it_was_set_for() {
        let switches = Switches::default();
        switches.set(Target::Orders, Mode::Hang.times(2)).unwrap();
        switches.set(Target::Alerts, Mode::Hang.into()).unwrap();
        let bites = |target| [0; 3].map(|_| switches.bite(target));
        assert_eq!(bites(Target::Orders), [Mode::Hang, Mode::Hang, Mode::Ok]);
        assert_eq!(bites(Target::Alerts), [Mode::Hang; 3]);
        assert_eq!(bites(Target::Mail), [Mode::Ok; 3]);
        switches.set(Target::Mail, Mode::Refuse.times(1)).unwrap();
        assert_eq!(switches.bite_if(Target::Mail, |mode| mode == Mode::Hang), None);
        assert_eq!(switches.bite_if(Target::Mail, |mode| mode == Mode::Refuse), Some(Mode::Refuse));
        assert_eq!(switches.bite(Target::Mail), Mode::Ok);
    }
}

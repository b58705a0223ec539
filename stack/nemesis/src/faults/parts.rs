//! What each fault hits. Two that hit nothing in common can strike at once.

use super::Fault;

/// A part of the shop, or of the world around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The doors' processes.
    Api,
    /// The workers' processes.
    Workers,
    /// Redis' process and data.
    Redis,
    /// Postgres' process and data.
    Postgres,
    /// The way to Redis.
    WayToRedis,
    /// The way to Postgres.
    WayToPostgres,
    /// The way to the doors.
    WayToDoors,
    /// The order system, and the way there.
    Orders,
    /// The payment gateway, and the way there.
    Gateway,
    /// The mail server, and the way there.
    Mail,
    /// Whoever hears of alerts, and the way there.
    Alerts,
}

use Part::{Alerts, Api, Gateway, Mail, Orders, Postgres, Redis, WayToDoors, WayToPostgres, WayToRedis, Workers};

/// A fault that must be the only one: nothing else may touch what it compares, or loses nothing in.
const ALL: &[Part] =
    &[Api, Workers, Redis, Postgres, WayToRedis, WayToPostgres, WayToDoors, Orders, Gateway, Mail, Alerts];

impl Fault {
    /// What it hits, or needs to be well.
    pub fn hits(self) -> &'static [Part] {
        match self {
            Fault::KillWorkers
            | Fault::EndWorkers
            | Fault::StopWorkers
            | Fault::WorkersDieAtPoints
            | Fault::WorkersStopAtPoints
            | Fault::SkewWorkers => &[Workers],
            // Nobody comes by its points while nobody charges.
            Fault::ChargesDieAtPoints => &[Workers, Gateway],
            Fault::KillApi | Fault::EndApi | Fault::ApiDiesAfterAppend | Fault::SkewApi => &[Api],
            Fault::KillRedis
            | Fault::EndRedis
            | Fault::StallRedis
            | Fault::FlushScripts
            | Fault::FillRedis
            | Fault::FillRedisDisk
            | Fault::SkewRedis
            | Fault::LoseRedis => &[Redis],
            // A door must be there to refuse; whoever is started meanwhile refuses to start.
            Fault::RedisWithoutAof => &[Redis, Api, Workers, WayToRedis],
            Fault::LoseRedisUnderZombie => &[Redis, Workers],
            // Its batch must come so far, and the worker must tell how it failed.
            Fault::EndSessionAtCommit => &[Postgres, WayToPostgres, Workers, Redis, WayToRedis],
            Fault::KillPostgres | Fault::EndPostgres | Fault::HoldRow | Fault::TakeAllSessions | Fault::EndSessions => {
                &[Postgres]
            }
            // When somebody decided is compared with when its loss was told.
            Fault::SkewPostgres => &[Postgres, Redis],
            // Nobody finds it full while nothing comes to be written, and the workers must tell.
            Fault::FillPostgresDisk => &[Postgres, WayToPostgres, Workers, Redis, WayToRedis, Api, WayToDoors],
            Fault::CutRedis | Fault::DeafRedis | Fault::SilentRedis | Fault::FarRedis => &[WayToRedis],
            // Workers must sweep again, which they tell themselves.
            Fault::ForgetPostgres => &[WayToPostgres, Postgres, Workers],
            Fault::CutPostgres
            | Fault::DeafPostgres
            | Fault::SilentPostgres
            | Fault::FarPostgres
            | Fault::LoseCommitReply => &[WayToPostgres],
            Fault::CutDoors | Fault::DeafDoors | Fault::SilentDoors | Fault::FarDoors => &[WayToDoors],
            Fault::CutOrders
            | Fault::DeafOrders
            | Fault::FarOrders
            | Fault::FailOrders
            | Fault::HangOrders
            | Fault::DripOrders
            | Fault::BusyOrders
            | Fault::RedirectOrders
            | Fault::FloodOrders
            | Fault::RefuseOrders => &[Orders],
            Fault::CutGateway
            | Fault::DeafGateway
            | Fault::FarGateway
            | Fault::FailGateway
            | Fault::HangGateway
            | Fault::BreakGateway
            | Fault::DripGateway
            | Fault::BusyGateway
            | Fault::RedirectGateway
            | Fault::FloodGateway => &[Gateway],
            // Products are put on the shelf for them, which a door and Postgres must do.
            Fault::RefuseMail | Fault::FailMail | Fault::CutMail | Fault::DeafMail => {
                &[Mail, Api, Postgres, WayToPostgres]
            }
            // An alert comes of an order that is not taken.
            Fault::FailAlerts | Fault::CutAlerts | Fault::DeafAlerts => &[Alerts, Orders],
            Fault::RollingRestart
            | Fault::HoldCoupon
            | Fault::HoldProduct
            | Fault::PauseLane
            | Fault::PoisonCoupon
            | Fault::PoisonProduct
            | Fault::HotProduct => ALL,
        }
    }

    /// Whether all lanes but one are untouched by it, so that they must keep their pace.
    pub fn is_of_one_lane(self) -> bool {
        matches!(
            self,
            Fault::HoldCoupon
                | Fault::HoldProduct
                | Fault::PauseLane
                | Fault::PoisonCoupon
                | Fault::PoisonProduct
                | Fault::HotProduct
        )
    }

    /// Whether it needs disks that can be filled.
    pub fn needs_disks(self) -> bool {
        matches!(self, Fault::FillRedisDisk | Fault::FillPostgresDisk)
    }

    fn goes_with(self, other: Fault) -> bool {
        !self.hits().iter().any(|part| other.hits().contains(part))
    }
}

/// Takes the first fault out of the list, and with it the next ones that can strike at once with it, up to so many.
pub fn together(ahead: &mut Vec<Fault>, at_once: usize) -> Vec<Fault> {
    let mut taken: Vec<Fault> = Vec::new();
    ahead.retain(|fault| {
        let fits = taken.len() < at_once && taken.iter().all(|other| fault.goes_with(*other));
        if fits {
            taken.push(*fault);
        }
        !fits
    });
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_strike_at_once_that_hit_different_things() {
        let mut ahead =
            vec![Fault::KillRedis, Fault::LoseRedis, Fault::RollingRestart, Fault::KillApi, Fault::CutOrders];
        assert_eq!(together(&mut ahead, 2), [Fault::KillRedis, Fault::KillApi]);
        assert_eq!(together(&mut ahead, 2), [Fault::LoseRedis, Fault::CutOrders]);
        assert_eq!(together(&mut ahead, 2), [Fault::RollingRestart]);
        assert_eq!((together(&mut ahead, 2), ahead), (vec![], vec![]));
        let mut ahead = vec![Fault::KillRedis, Fault::KillApi];
        assert_eq!(together(&mut ahead, 1), [Fault::KillRedis]);
    }
}

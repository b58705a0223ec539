//! What goes wrong: each fault is done, undone, and must have been felt.

mod line;
mod network;
mod outside;
mod parts;
mod postgres;
mod processes;
mod redis;

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use runtime::fault_points::Point;
use sandbox::Mode;
use tokio::time::Instant;

use crate::house::{Between, House, Program};
use crate::load::Load;
use crate::wire::Trouble;
use line::Lane;
pub use parts::{Part, together};

/// For a fault to be felt, or for somebody to come by a fault point.
const FELT_MAX: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a fault lasts that lasts.
const LASTS: Duration = Duration::from_secs(2);

/// A network that is far away.
const FAR: Trouble = Trouble::Delay(Duration::from_millis(40));

/// What a server of HTTP says that failed, and one that is asked too often.
const FAILED: u16 = 500;
const BUSY: u16 = 429;

/// What a mail server says that does not take a mail for now.
const TRY_LATER: u16 = 451;

/// Everything that can go wrong here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// A worker is killed
    KillWorkers,
    /// A worker is asked to end
    EndWorkers,
    /// All doors and workers are started anew, one after the other, and no shopper loses an answer
    RollingRestart,
    /// A worker stops for longer than its lease, and goes on
    StopWorkers,
    /// A worker dies at each place of a batch where it matters
    WorkersDieAtPoints,
    /// A worker stops at each of these places past its lease, and goes on
    WorkersStopAtPoints,
    /// A worker dies at each place of a charge where it matters
    ChargesDieAtPoints,
    /// The clock of a worker is an hour ahead, then an hour behind
    SkewWorkers,
    /// A door is killed
    KillApi,
    /// A door is asked to end
    EndApi,
    /// A door dies after it appended, before it answers
    ApiDiesAfterAppend,
    /// The clock of a door is an hour ahead, then an hour behind
    SkewApi,
    /// Redis is killed, and started again
    KillRedis,
    /// Redis is asked to end, and started again
    EndRedis,
    /// Redis does not answer for a moment, several times
    StallRedis,
    /// Redis forgets its scripts
    FlushScripts,
    /// Redis has no memory left
    FillRedis,
    /// Redis has no disk left
    FillRedisDisk,
    /// Redis is started without its append-only file, and then with it again
    RedisWithoutAof,
    /// The clock of Redis is an hour ahead, then an hour behind
    SkewRedis,
    /// Redis loses all its data
    LoseRedis,
    /// The same while a worker sleeps on a batch, which it wakes up with when others have been decided
    LoseRedisUnderZombie,
    /// Postgres is killed, and started again
    KillPostgres,
    /// Postgres is asked to end, and started again
    EndPostgres,
    /// The clock of Postgres is an hour behind
    SkewPostgres,
    /// Postgres has no disk left
    FillPostgresDisk,
    /// Somebody holds a row that everybody needs for longer than anybody waits for it
    HoldRow,
    /// Postgres has no sessions left
    TakeAllSessions,
    /// All of Postgres' sessions end
    EndSessions,
    /// The session of a transaction ends just before its COMMIT
    EndSessionAtCommit,
    /// The reply to a COMMIT is lost
    LoseCommitReply,
    /// Nobody reaches Redis
    CutRedis,
    /// Redis hears, and is not heard
    DeafRedis,
    /// Whatever is sent to Redis is lost
    SilentRedis,
    /// Redis is far away
    FarRedis,
    /// Nobody reaches Postgres
    CutPostgres,
    /// Postgres hears, and is not heard
    DeafPostgres,
    /// Whatever is sent to Postgres is lost
    SilentPostgres,
    /// Connections to Postgres stay open, and nothing comes over them any more
    ForgetPostgres,
    /// Postgres is far away
    FarPostgres,
    /// No shopper reaches a door
    CutDoors,
    /// Doors hear, and are not heard
    DeafDoors,
    /// Whatever shoppers send is lost
    SilentDoors,
    /// Doors are far away
    FarDoors,
    /// No worker reaches the order system
    CutOrders,
    /// The order system hears, and is not heard
    DeafOrders,
    /// The order system is far away
    FarOrders,
    /// No worker reaches the gateway
    CutGateway,
    /// The gateway hears, and is not heard
    DeafGateway,
    /// The gateway is far away
    FarGateway,
    /// The order system fails
    FailOrders,
    /// The order system does not answer
    HangOrders,
    /// The order system answers a byte a second
    DripOrders,
    /// The order system is asked too often, and says when to come again
    BusyOrders,
    /// The order system says that it is to be found at an address within
    RedirectOrders,
    /// The order system answers with 100 MB
    FloodOrders,
    /// The order system closes every connection
    RefuseOrders,
    /// The gateway takes the money, and fails
    FailGateway,
    /// The gateway takes the money, and does not answer
    HangGateway,
    /// The gateway takes the money, and closes the connection
    BreakGateway,
    /// The gateway takes the money, and answers a byte a second
    DripGateway,
    /// The gateway is asked too often, and says when to come again
    BusyGateway,
    /// The gateway says that it is to be found at an address within
    RedirectGateway,
    /// The gateway answers with 100 MB
    FloodGateway,
    /// The mail server lets nobody in
    RefuseMail,
    /// The mail server takes no mail
    FailMail,
    /// No worker reaches the mail server
    CutMail,
    /// The mail server hears, and is not heard
    DeafMail,
    /// Whoever hears of alerts takes none
    FailAlerts,
    /// No worker reaches whoever hears of alerts
    CutAlerts,
    /// Whoever hears of alerts is not heard
    DeafAlerts,
    /// Somebody holds the row of one coupon
    HoldCoupon,
    /// Somebody holds the row of one product
    HoldProduct,
    /// An operator holds the lane of one coupon
    PauseLane,
    /// Commands that cannot be read stand in one lane
    PoisonCoupon,
    /// Commands that cannot be read stand in the lane of one product
    PoisonProduct,
    /// Half of everybody wants one product, beside a thousand quiet ones
    HotProduct,
}

/// Where a fault strikes.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The shop.
    pub house: &'a House,
    /// Its shoppers.
    pub load: &'a Load,
    /// Which of the copies of a program is hit.
    pub copy: usize,
    /// Which of several wires are hit: any number.
    pub dice: u64,
}

/// What came of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Struck {
    /// It was felt, and is over.
    Felt,
    /// This machine cannot do it, and why.
    Skipped(String),
}

impl Fault {
    /// Its name, as it is asked for.
    pub fn name(self) -> String {
        let value = self.to_possible_value().expect("none is left out");
        value.get_name().to_owned()
    }

    /// Does it to the shop, ends it, and makes sure that it was felt.
    ///
    /// # Errors
    /// When it was not felt, or the shop cannot be brought back.
    pub async fn strike(self, scene: Scene<'_>) -> Result<Struck> {
        use Between::{ProgramsAndPostgres, ProgramsAndRedis, ShoppersAndDoors, WorkersAndGateway, WorkersAndOrders};
        let Scene { house, load, copy, .. } = scene;
        match self {
            Fault::KillWorkers => processes::kill(house, Program::Workers, copy).await,
            Fault::KillApi => processes::kill(house, Program::Api, copy).await,
            Fault::EndWorkers => processes::end(house, Program::Workers, copy).await,
            Fault::EndApi => processes::end(house, Program::Api, copy).await,
            Fault::RollingRestart => processes::rolling_restart(house, load.log()).await,
            Fault::StopWorkers => processes::stop(house, copy).await,
            Fault::WorkersDieAtPoints => processes::die_at(house, Program::Workers, &Point::OF_A_BATCH).await,
            Fault::ChargesDieAtPoints => processes::die_at(house, Program::Workers, &Point::OF_A_CHARGE).await,
            Fault::ApiDiesAfterAppend => processes::die_at(house, Program::Api, &[Point::AfterAppend]).await,
            Fault::WorkersStopAtPoints => processes::stop_at(house, &Point::OF_A_BATCH).await,
            Fault::SkewWorkers => return processes::skew(house, Program::Workers, copy).await,
            Fault::SkewApi => return processes::skew(house, Program::Api, copy).await,
            Fault::KillRedis => redis::kill(house).await,
            Fault::EndRedis => redis::end_server(house).await,
            Fault::StallRedis => redis::stall(house).await,
            Fault::FlushScripts => redis::flush_scripts(house).await,
            Fault::FillRedis => redis::fill(house).await,
            Fault::FillRedisDisk => return redis::fill_disk(house).await,
            Fault::RedisWithoutAof => redis::without_aof(house).await,
            Fault::SkewRedis => return redis::skew(house).await,
            Fault::LoseRedis => redis::lose(house).await,
            Fault::LoseRedisUnderZombie => redis::lose_under_zombie(house).await,
            Fault::KillPostgres => postgres::kill(house).await,
            Fault::EndPostgres => postgres::end_server(house).await,
            Fault::SkewPostgres => return postgres::skew(house).await,
            Fault::FillPostgresDisk => return postgres::fill_disk(house).await,
            Fault::HoldRow => postgres::hold(house, "select from coupons order by coupon_id for update", LASTS).await,
            Fault::TakeAllSessions => postgres::take_all_sessions(house).await,
            Fault::EndSessions => postgres::end_sessions(house).await,
            Fault::EndSessionAtCommit => postgres::end_session_at_commit(house).await,
            Fault::LoseCommitReply => network::lose_commit_reply(house, copy).await,
            Fault::CutRedis => network::strike(scene, ProgramsAndRedis, Trouble::Cut).await,
            Fault::DeafRedis => network::strike(scene, ProgramsAndRedis, Trouble::NoReplies).await,
            Fault::SilentRedis => network::strike(scene, ProgramsAndRedis, Trouble::Silence).await,
            Fault::FarRedis => network::strike(scene, ProgramsAndRedis, FAR).await,
            Fault::CutPostgres => network::strike(scene, ProgramsAndPostgres, Trouble::Cut).await,
            Fault::DeafPostgres => network::strike(scene, ProgramsAndPostgres, Trouble::NoReplies).await,
            Fault::SilentPostgres => network::strike(scene, ProgramsAndPostgres, Trouble::Silence).await,
            Fault::ForgetPostgres => network::forget_postgres(scene).await,
            Fault::FarPostgres => network::strike(scene, ProgramsAndPostgres, FAR).await,
            Fault::CutDoors => network::strike(scene, ShoppersAndDoors, Trouble::Cut).await,
            Fault::DeafDoors => network::strike(scene, ShoppersAndDoors, Trouble::NoReplies).await,
            Fault::SilentDoors => network::strike(scene, ShoppersAndDoors, Trouble::Silence).await,
            Fault::FarDoors => network::strike(scene, ShoppersAndDoors, FAR).await,
            Fault::CutOrders => network::strike(scene, WorkersAndOrders, Trouble::Cut).await,
            Fault::DeafOrders => network::strike(scene, WorkersAndOrders, Trouble::NoReplies).await,
            Fault::FarOrders => network::strike(scene, WorkersAndOrders, FAR).await,
            Fault::CutGateway => network::strike(scene, WorkersAndGateway, Trouble::Cut).await,
            Fault::DeafGateway => network::strike(scene, WorkersAndGateway, Trouble::NoReplies).await,
            Fault::FarGateway => network::strike(scene, WorkersAndGateway, FAR).await,
            Fault::FailOrders => outside::orders(house, Mode::Fail { status: FAILED }).await,
            Fault::HangOrders => outside::orders(house, Mode::Hang).await,
            Fault::DripOrders => outside::orders(house, Mode::Drip).await,
            Fault::BusyOrders => outside::orders(house, Mode::Fail { status: BUSY }).await,
            Fault::RedirectOrders => outside::orders(house, Mode::Redirect).await,
            Fault::FloodOrders => outside::orders(house, Mode::Flood).await,
            Fault::RefuseOrders => outside::orders(house, Mode::Refuse).await,
            Fault::FailGateway => outside::gateway(house, Mode::TakeAndFail { status: FAILED }).await,
            Fault::HangGateway => outside::gateway(house, Mode::TakeAndHang).await,
            Fault::BreakGateway => outside::gateway(house, Mode::TakeAndCut).await,
            Fault::DripGateway => outside::gateway(house, Mode::Drip).await,
            Fault::BusyGateway => outside::gateway(house, Mode::Fail { status: BUSY }).await,
            Fault::RedirectGateway => outside::gateway(house, Mode::Redirect).await,
            Fault::FloodGateway => outside::gateway(house, Mode::Flood).await,
            Fault::RefuseMail => outside::mail(house, Mode::Refuse).await,
            Fault::FailMail => outside::mail(house, Mode::Fail { status: TRY_LATER }).await,
            Fault::CutMail => outside::mail_over(scene, Trouble::Cut).await,
            Fault::DeafMail => outside::mail_over(scene, Trouble::NoReplies).await,
            Fault::FailAlerts => outside::alerts(house, Mode::Fail { status: FAILED }).await,
            Fault::CutAlerts => outside::alerts_over(scene, Trouble::Cut).await,
            Fault::DeafAlerts => outside::alerts_over(scene, Trouble::NoReplies).await,
            Fault::HoldCoupon => line::hold_coupon(house).await,
            Fault::HoldProduct => line::hold_product(house, load.goods().hot()).await,
            Fault::PauseLane => line::pause_lane(house).await,
            Fault::PoisonCoupon => line::poison(house, &Lane::Coupon).await,
            Fault::PoisonProduct => line::poison(house, &Lane::Product(load.goods().hot())).await,
            Fault::HotProduct => line::hot(house, load).await,
        }?;
        Ok(Struck::Felt)
    }
}

async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

async fn felt(what: &str, mut is_felt: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let ends = Instant::now() + FELT_MAX;
    loop {
        if is_felt().await? {
            return Ok(());
        }
        ensure!(Instant::now() < ends, "{what}: nobody felt it");
        pause(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What operators read of faults must be what is tried.
    #[test]
    fn the_readme_tells_what_each_fault_means() {
        let readme = include_str!("../../../README.md");
        let told = readme.split_once("## What happens when").and_then(|(_, rest)| rest.split_once("\n## ")).unwrap().0;
        let rows = told.lines().filter(|line| line.starts_with('|')).skip(2);
        let last = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
        let names = last.flat_map(|cell| cell.split(',')).map(|name| name.trim().trim_matches('`').to_owned());
        let is_test = |name: &String| name.contains(".rs::");
        let told: BTreeSet<String> = names.filter(|name| !is_test(name)).collect();
        let all: BTreeSet<String> = Fault::value_variants().iter().map(|fault| fault.name()).collect();
        assert_eq!(told, all);
    }
}

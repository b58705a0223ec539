//! The shop behind a PgBouncer in transaction mode, with fewer sessions of Postgres than the programs have connections. Real
//! programs, real servers; where there is no PgBouncer, and none can be installed, each test says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod few_sessions;
#[path = "../several_redis/load.rs"]
#[expect(dead_code, reason = "not every test needs all that a shopper remembers")]
mod load;
#[path = "../whole_path/mail_server.rs"]
#[expect(dead_code, reason = "not every test needs all that a mail server can do")]
mod mail_server;
mod outage;
#[path = "../whole_path/receiver.rs"]
#[expect(dead_code, reason = "not every test needs all that a receiver can do")]
mod receiver;
#[path = "../whole_path/shop.rs"]
#[expect(dead_code, reason = "not every test needs all that a shop can do")]
mod shop;

use demo::rights::{APP, prepare};
use futures::future::join_all;
use stack::{PgBouncer, Postgres, fresh_database, tell_skipped, wait_for_async};

use crate::shop::{DEADLINE, Shop};

/// Has both programs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_demo");

/// Sessions of Postgres that the programs share: fewer than batches that are in hand at once.
const SESSIONS: u32 = 4;

/// Reads at once, of which `api` has as many in hand as it has connections.
const ASKED_AT_ONCE: usize = 32;

/// The shop, and the PgBouncer that its programs know as Postgres.
struct Pooled {
    shop: Shop,
    pgbouncer: PgBouncer,
    url: String,
}

impl Pooled {
    /// Opens it, with workers that are told more. None where there is no PgBouncer.
    async fn open(more: &[(&str, &str)]) -> Option<Pooled> {
        if let Err(error) = PgBouncer::program() {
            tell_skipped(format!("{error:#}"));
            return None;
        }
        let direct = fresh_database();
        prepare(&direct).await.unwrap();
        let pgbouncer = PgBouncer::start(Postgres::shared(), &[APP], SESSIONS).unwrap();
        let pool = sqlx::PgPool::connect_lazy(&direct).unwrap();
        let url = pgbouncer.url(pool.connect_options().get_database().unwrap());
        let shop = Shop::open_at(&url, &direct, &[("DATABASE_POOLER", "transaction")], more).await;
        Some(Pooled { shop, pgbouncer, url })
    }

    /// The rows that PgBouncer's console gives for the programs.
    fn of_programs(&self, command: &str) -> usize {
        let rows = self.pgbouncer.console(command).unwrap();
        rows.iter().filter(|row| row.iter().any(|value| value.as_deref() == Some(APP))).count()
    }

    /// With all that `api` asks at once the programs have more connections than there are sessions, so sessions go from one to
    /// another; and no statement was refused for the want of what it had prepared, or for changing something where it must not.
    async fn check_sessions_change_hands(&self) {
        wait_for_async("more connections than sessions", DEADLINE, async || {
            let asked = join_all((0..ASKED_AT_ONCE).map(|_| self.shop.get("/api/products"))).await;
            assert!(asked.iter().all(|(status, _)| *status == 200), "{asked:?}");
            let servers = self.of_programs("show servers");
            assert!((1..=SESSIONS as usize).contains(&servers), "{servers} sessions");
            (self.of_programs("show clients") > servers).then_some(())
        })
        .await;
        for log in [self.shop.api.log(), self.shop.workers.log()] {
            for refusal in ["prepared statement", "read-only transaction", "transaction is aborted"] {
                assert!(!log.contains(refusal), "{log}");
            }
        }
    }
}

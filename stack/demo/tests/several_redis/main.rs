//! The shop on more than one Redis: a Cluster whose nodes fail over and whose slots move, Sentinels, and replicas that are
//! waited for. Real programs, real servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cluster;
mod load;
#[path = "../whole_path/receiver.rs"]
#[expect(dead_code, reason = "not every test needs all that a receiver can do")]
mod receiver;
mod sentinel;
#[path = "../whole_path/shop.rs"]
#[expect(dead_code, reason = "not every test needs all that a shop can do")]
mod shop;

use demo::rights::Secrets;
use stack::RedisUsers;
use tempfile::TempDir;

/// The users of all servers, so that the programs may do no more in them than in earnest.
struct Users {
    secrets: Secrets,
    _folder: TempDir,
}

impl Users {
    fn make() -> Users {
        let folder = tempfile::tempdir().unwrap();
        Users { secrets: Secrets::make(folder.path()).unwrap(), _folder: folder }
    }

    fn of_redis(&self) -> Option<RedisUsers> {
        Some(self.secrets.redis_users().unwrap())
    }

    /// An address as each program is told it: `api`'s, and `workers`'.
    fn urls(&self, url: impl Fn(Option<(&str, &str)>) -> String) -> [String; 2] {
        ["api", "workers"].map(|user| url(Some((user, &self.secrets.redis_password(user).unwrap()))))
    }
}

/// Has both programs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_demo");

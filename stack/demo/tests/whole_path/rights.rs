//! What the programs may do in Postgres and Redis: the roles and users with which the shop runs in containers, made of the
//! same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use runtime::postgres::{grant_rights, migrate};
use sqlx::{Connection, PgConnection, PgPool};
use stack::{Redis, RedisOptions, RedisUsers, as_role};
use tokio::sync::Mutex;

/// The role that makes the tables.
pub const OWNER: &str = "droplane_owner";
/// The role that runs the programs.
pub const APP: &str = "droplane_app";

/// The repository: test programs of several crates share this file.
fn top() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().find(|folder| folder.join("docker-compose.yml").is_file()).unwrap()
}

/// Makes an empty database the shop's: roles by the superuser, tables and rights by the owner.
pub async fn prepare(database_url: &str) {
    // Roles are the whole server's, and two who make the same one at once get in each other's way.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    let roles = fs::read_to_string(top().join("containers/roles.sql")).unwrap();
    {
        let _turn = ONE_AT_A_TIME.lock().await;
        let mut superuser = PgConnection::connect(database_url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(roles)).execute(&mut superuser).await.unwrap();
    }
    let owner = PgPool::connect(&as_role(database_url, OWNER)).await.unwrap();
    migrate(&owner).await.unwrap();
    grant_rights(&owner, APP).await.unwrap();
    owner.close().await;
}

/// The secrets as `containers/make-secrets` makes them.
pub struct Secrets(PathBuf);

impl Secrets {
    /// Makes them below a folder.
    pub fn make(folder: &Path) -> Secrets {
        let containers = folder.join("containers");
        fs::create_dir(&containers).unwrap();
        for file in ["make-secrets", "redis.acl"] {
            fs::copy(top().join("containers").join(file), containers.join(file)).unwrap();
        }
        // By the shell, because a file that was just written cannot be run while another thread starts a process.
        assert!(Command::new("bash").arg(containers.join("make-secrets")).status().unwrap().success());
        Secrets(folder.join("secrets"))
    }

    /// The password of a user of Redis.
    pub fn redis_password(&self, user: &str) -> String {
        fs::read_to_string(self.0.join(format!("redis_{user}_password"))).unwrap().trim_end().to_owned()
    }

    /// The users of Redis; its tests' own commands come as the operator.
    pub fn redis_users(&self) -> RedisUsers {
        let operator = "operator".to_owned();
        let password = self.redis_password(&operator);
        RedisUsers { acl_file: self.0.join("redis.acl"), operator, password }
    }

    /// A Redis with the users.
    pub fn start_redis(&self) -> Redis {
        Redis::start(RedisOptions { users: Some(self.redis_users()), ..RedisOptions::default() }).unwrap()
    }
}

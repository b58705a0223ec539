//! What the programs may do in Postgres and Redis: the roles and users with which the shop runs in containers, made of the
//! same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use runtime::postgres::{grant_rights, migrate};
use sqlx::{Connection, PgConnection, PgPool};
use stack::{RedisUsers, as_role};
use tokio::sync::Mutex;

/// The role that makes the tables.
pub const OWNER: &str = "droplane_owner";
/// The role that runs the programs.
pub const APP: &str = "droplane_app";

const ROLES: &str = include_str!("../../../containers/roles.sql");

/// What makes the secrets, and of what.
const FILES: [(&str, &str); 2] = [
    ("make-secrets", include_str!("../../../containers/make-secrets")),
    ("redis.acl", include_str!("../../../containers/redis.acl")),
];

/// Makes an empty database the shop's: roles by the superuser, tables and rights by the owner.
///
/// # Errors
/// When the address is not a superuser's, or the database not an empty one.
pub async fn prepare(database_url: &str) -> Result<()> {
    // Roles are the whole server's, and two who make the same one at once get in each other's way.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    {
        let _turn = ONE_AT_A_TIME.lock().await;
        let mut superuser = PgConnection::connect(database_url).await.context("connecting as the superuser")?;
        sqlx::raw_sql(ROLES).execute(&mut superuser).await.context("making the roles")?;
    }
    let owner = PgPool::connect(&as_role(database_url, OWNER)).await.context("connecting as the owner")?;
    migrate(&owner).await.context("migrating")?;
    grant_rights(&owner, APP).await.context("granting rights")?;
    owner.close().await;
    Ok(())
}

/// The secrets as `containers/make-secrets` makes them.
#[derive(Debug)]
pub struct Secrets(PathBuf);

impl Secrets {
    /// Makes them below a folder, where they must stay for as long as a Redis with the users is started again.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn make(folder: &Path) -> Result<Secrets> {
        let containers = folder.join("containers");
        fs::create_dir_all(&containers).with_context(|| format!("making {}", containers.display()))?;
        for (file, text) in FILES {
            fs::write(containers.join(file), text).with_context(|| format!("writing {file}"))?;
        }
        // By the shell, because a file that was just written cannot be run while another thread starts a process.
        let status = Command::new("bash").arg(containers.join("make-secrets")).status().context("running bash")?;
        ensure!(status.success(), "make-secrets ended with {status}");
        Ok(Secrets(folder.join("secrets")))
    }

    /// The password of a user of Redis.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn redis_password(&self, user: &str) -> Result<String> {
        let file = self.0.join(format!("redis_{user}_password"));
        let password = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        Ok(password.trim_end().to_owned())
    }

    /// The users of Redis. Whoever starts a server with them sends it commands as the operator.
    ///
    /// # Errors
    /// When the secrets are gone.
    pub fn redis_users(&self) -> Result<RedisUsers> {
        let operator = "operator".to_owned();
        let password = self.redis_password(&operator)?;
        Ok(RedisUsers { acl_file: self.0.join("redis.acl"), operator, password })
    }
}

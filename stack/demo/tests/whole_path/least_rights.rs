//! Nobody can do with the programs' roles and users what the programs never do. That they can do what they must, every other
//! test of the whole path shows: their programs run with the same ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use demo::rights::{APP, OWNER, Secrets, prepare};
use runtime::postgres::grant_rights;
use sqlx::{AssertSqlSafe, PgPool};
use stack::{as_role, fresh_database};

use crate::shop::start_redis;

/// What a person may want who came to own a program, and is refused.
const REFUSED_BY_REDIS: [&[&str]; 12] = [
    &["FLUSHALL"],
    &["FLUSHDB"],
    &["KEYS", "*"],
    &["SCAN", "0"],
    &["CONFIG", "SET", "appendonly", "no"],
    &["CONFIG", "REWRITE"],
    &["ACL", "LIST"],
    &["CLIENT", "KILL", "TYPE", "normal"],
    &["SHUTDOWN"],
    &["REPLICAOF", "127.0.0.1", "1"],
    &["EVAL", "return redis.call('FLUSHALL')", "0"],
    &["SET", "another's", "1"],
];

/// Commands that no script calls: connecting, listening, asking for the durability, running scripts, waiting for replicas.
const BESIDE_SCRIPTS: [&str; 9] =
    ["config|get", "evalsha", "info", "ping", "role", "script|load", "subscribe", "unsubscribe", "wait"];

/// Statements that end with insufficient_privilege.
const REFUSED_BY_POSTGRES: [&str; 15] = [
    "create table loot (x int)",
    "create temp table loot (x int)",
    "drop table cart_items",
    "alter table orders add column x int",
    "truncate products",
    "delete from orders",
    "delete from ledger",
    "delete from users",
    "update orders set user_id = user_id",
    "update ledger set amount = amount",
    "update requests set outcome = outcome",
    "update audit_log set actor = actor",
    "delete from audit_log",
    "delete from _sqlx_migrations",
    "insert into _sqlx_migrations (version) values (1)",
];

#[test]
fn redis_refuses_what_the_programs_never_do() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = Secrets::make(folder.path()).unwrap();
    let redis = start_redis(&secrets);
    for user in ["api", "workers"] {
        let password = secrets.redis_password(user).unwrap();
        assert_eq!(redis.command_as(user, &password, &["PING"]).unwrap(), "PONG");
        for command in REFUSED_BY_REDIS {
            let error = format!("{:#}", redis.command_as(user, &password, command).unwrap_err());
            assert!(error.contains("NOPERM"), "{user} {command:?}: {error}");
        }
        assert!(redis.command_as(user, "guessed", &["PING"]).is_err());
    }
    // What the queue of announced orders needs is nothing for the door.
    let push = ["RPUSH", "{core:apalis:queues:list}:order_sync:active", "x"];
    let password = |user| secrets.redis_password(user).unwrap();
    redis.command_as("workers", &password("workers"), &push).unwrap();
    assert!(redis.command_as("api", &password("api"), &push).is_err());
    assert!(redis.command_as("default", "", &["PING"]).is_err(), "somebody came in without a password");
}

/// Redis reads its append-only file in the name of a user, too.
#[test]
fn what_a_program_wrote_is_there_after_a_restart() {
    const WRITE_TWO: &str = "redis.call('SET', KEYS[1], 'one') redis.call('SET', KEYS[2], 'two') return 'done'";
    let folder = tempfile::tempdir().unwrap();
    let secrets = Secrets::make(folder.path()).unwrap();
    let mut redis = start_redis(&secrets);
    let keys = ["{coupon}:a", "{coupon}:b"];
    let password = secrets.redis_password("api").unwrap();
    let script = redis.command_as("api", &password, &["SCRIPT", "LOAD", WRITE_TWO]).unwrap();
    let written = redis.command_as("api", &password, &["EVALSHA", &script, "2", keys[0], keys[1]]).unwrap();
    assert_eq!(written, "done");
    redis.kill9();
    redis.start_again().unwrap();
    for (key, value) in keys.into_iter().zip(["one", "two"]) {
        assert_eq!(redis.command_as("api", &password, &["GET", key]).unwrap(), value, "{}", redis.log_tail());
    }
    assert!(redis.command_as("default", "", &["PING"]).is_err(), "somebody came in without a password");
    let nobody = redis.command_as("default", "any", &["PING"]);
    assert!(nobody.is_err(), "somebody came in with any password");
}

/// A command that a script calls on rare occasions is missed by a test only then; one that none calls any more, never.
#[test]
fn the_line_may_call_what_its_scripts_call() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut called: BTreeSet<String> = BESIDE_SCRIPTS.iter().map(|name| (*name).to_owned()).collect();
    for file in fs::read_dir(top.join("lanes/src/lua")).unwrap() {
        let script = fs::read_to_string(file.unwrap().path()).unwrap();
        // Words in capitals between quotes are commands, but for those that follow one.
        let words = script.lines().flat_map(|line| line.split('\'').skip(1));
        let words = words.filter(|word| word.len() >= 3 && word.chars().all(|c| c.is_ascii_uppercase()));
        let commands = words.filter(|word| !["WITHSCORES", "LIMIT"].contains(word));
        called.extend(commands.map(str::to_lowercase));
    }
    let rules = fs::read_to_string(top.join("containers/redis.acl")).unwrap();
    let of_user = |user: &str| -> BTreeSet<String> {
        let (_, rules) = rules.split_once(&format!("user {user} ")).unwrap();
        let words = rules.split("\n\n").next().unwrap().split_whitespace();
        words.filter_map(|word| word.strip_prefix('+')).map(str::to_owned).collect()
    };
    assert_eq!(of_user("api"), called);
    let missing: Vec<_> = called.difference(&of_user("workers")).cloned().collect();
    assert!(missing.is_empty(), "workers may not call {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_refuses_what_the_programs_never_do() {
    let url = fresh_database();
    prepare(&url).await.unwrap();
    let app = PgPool::connect(&as_role(&url, APP)).await.unwrap();
    for statement in REFUSED_BY_POSTGRES {
        let error = sqlx::query(statement).execute(&app).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
    }
    assert!(grant_rights(&app, APP).await.is_err(), "it gave itself rights");

    // A right that was granted by hand, and one that is missing, are as the text says after the next migration.
    let owner = PgPool::connect(&as_role(&url, OWNER)).await.unwrap();
    for by_hand in ["grant delete on orders to", "revoke insert on orders from"] {
        sqlx::query(AssertSqlSafe(format!("{by_hand} {APP}"))).execute(&owner).await.unwrap();
    }
    grant_rights(&owner, APP).await.unwrap();
    let rights = "select has_table_privilege($1, 'orders', 'insert'), has_table_privilege($1, 'orders', 'delete')";
    let rights: (bool, bool) = sqlx::query_as(rights).bind(APP).fetch_one(&owner).await.unwrap();
    assert_eq!(rights, (true, false));

    // A new table has its line among the rights.
    let forgotten: Vec<String> = sqlx::query_scalar(
        "select relname::text
           from pg_class
          where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname <> '_sqlx_migrations'
            and not has_table_privilege($1, oid, 'insert')",
    )
    .bind(APP)
    .fetch_all(&owner)
    .await
    .unwrap();
    assert!(forgotten.is_empty(), "nobody may write to {forgotten:?}");
}

//! Real servers: they start, keep what they promised through crashes, and leave nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stack::{Launch, Postgres, PostgresOptions, Redis, RedisOptions, Shutdown, Stack, fresh_database, wait_for};

const DEADLINE: Duration = Duration::from_secs(30);

fn one(postgres: &Postgres, sql: &str) -> String {
    let rows = postgres.query("postgres", sql).unwrap();
    assert_eq!(rows.len(), 1, "{sql}");
    rows[0][0].clone().unwrap()
}

fn in_dir(dir: &Path) -> PostgresOptions {
    PostgresOptions { data_dir: Some(dir.to_owned()), ..PostgresOptions::default() }
}

/// The folder named in a socket address.
fn socket_dir(url: &str) -> PathBuf {
    let host = url.split("host=").nth(1).unwrap();
    PathBuf::from(host.split('&').next().unwrap())
}

#[test]
fn both_answer_and_are_as_durable_as_the_shop_demands() {
    let stack = Stack::start(None).unwrap();
    let settings = [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("max_connections", "200"),
        ("jit", "off"),
        ("server_encoding", "UTF8"),
        ("listen_addresses", "127.0.0.1"),
    ];
    for (name, want) in settings {
        assert_eq!(one(&stack.postgres, &format!("show {name}")), want, "{name}");
    }
    let settings = [
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("no-appendfsync-on-rewrite", "no"),
        ("save", ""),
        ("maxmemory-policy", "noeviction"),
        ("bind", "127.0.0.1"),
        ("protected-mode", "yes"),
    ];
    for (name, want) in settings {
        let got = stack.redis.command(&["CONFIG", "GET", name]).unwrap();
        assert_eq!(got, format!("{name}\n{want}"));
    }
    for port in [stack.postgres.port(), stack.redis.port()] {
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
}

#[test]
fn two_stacks_stand_side_by_side_and_leave_nothing() {
    let stacks = [Stack::start(None).unwrap(), Stack::start(None).unwrap()];
    let mut dirs = Vec::new();
    let mut pids = Vec::new();
    for (number, stack) in stacks.iter().enumerate() {
        let mine = number.to_string();
        stack.redis.command(&["SET", "who", &mine]).unwrap();
        let table = format!("create table t as select {number} as who");
        stack.postgres.query("postgres", &table).unwrap();
        dirs.push(socket_dir(&stack.postgres.url("postgres")));
        dirs.push(stack.redis.dir().to_owned());
        pids.extend([stack.postgres.pid(), stack.redis.pid()]);
    }
    for (number, stack) in stacks.iter().enumerate() {
        let mine = number.to_string();
        assert_eq!(stack.redis.command(&["GET", "who"]).unwrap(), mine);
        assert_eq!(one(&stack.postgres, "select who from t"), mine);
    }
    assert!(dirs.iter().all(|dir| dir.exists()));
    drop(stacks);
    assert!(dirs.iter().all(|dir| !dir.exists()), "{dirs:?}");
    assert!(pids.iter().all(|pid| !lives(*pid)), "{pids:?}");
}

#[test]
fn what_redis_answered_survives_kill_9() {
    let mut redis = Redis::start(RedisOptions::default()).unwrap();
    let (pid, url, port) = (redis.pid(), redis.url(), redis.port());
    for n in 0..100 {
        redis.command(&["RPUSH", "line", &n.to_string()]).unwrap();
    }
    redis.kill9();
    assert!(!lives(pid));
    redis.command(&["PING"]).unwrap_err();
    redis.start_again().unwrap();
    assert_ne!(redis.pid(), pid);
    assert_eq!((redis.url(), redis.port()), (url, port));
    assert_eq!(redis.command(&["LLEN", "line"]).unwrap(), "100");
    redis.start_again().unwrap_err();
    redis.stop();
    redis.start_again().unwrap();
    assert_eq!(redis.command(&["LINDEX", "line", "-1"]).unwrap(), "99");
}

#[test]
fn redis_that_does_not_append_forgets() {
    let mut redis = Redis::start(RedisOptions {
        append_only: false,
        extra: vec!["--maxmemory".into(), "64mb".into()],
        ..RedisOptions::default()
    })
    .unwrap();
    let memory = redis.command(&["CONFIG", "GET", "maxmemory"]).unwrap();
    assert_eq!(memory, "maxmemory\n67108864");
    redis.command(&["SET", "a", "1"]).unwrap();
    redis.kill9();
    redis.start_again().unwrap();
    assert_eq!(redis.command(&["EXISTS", "a"]).unwrap(), "0");
}

#[test]
fn what_postgres_committed_survives_every_stop() {
    let mut postgres = Postgres::start(PostgresOptions::default()).unwrap();
    let (url, tcp_url) = (postgres.url("shop"), postgres.tcp_url("shop"));
    postgres.create_database("shop").unwrap();
    postgres.create_database("shop").unwrap_err();
    postgres.query("shop", "create table t (n int not null)").unwrap();
    for (n, how) in [(1, Shutdown::Immediate), (2, Shutdown::Fast)] {
        let pid = postgres.pid();
        postgres.query("shop", &format!("insert into t values ({n})")).unwrap();
        postgres.stop(how);
        assert!(!lives(pid));
        postgres.query("shop", "select 1").unwrap_err();
        postgres.start_again().unwrap();
        let recovered = postgres.log_tail().contains("automatic recovery in progress");
        assert_eq!(recovered, how == Shutdown::Immediate, "{how:?}");
        let count = postgres.query("shop", "select count(*) from t").unwrap();
        assert_eq!(count, [[Some(n.to_string())]]);
    }
    assert_eq!((postgres.url("shop"), postgres.tcp_url("shop")), (url, tcp_url));
    postgres.start_again().unwrap_err();
    postgres.create_database_from("copy", "shop").unwrap();
    let count = postgres.query("copy", "select count(*) from t").unwrap();
    assert_eq!(count, [[Some("2".to_owned())]]);
}

#[test]
fn a_kept_folder_is_kept_and_belongs_to_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    // Only root may enter it, its name means something in an address, and it is far too long
    // for a socket.
    let dir = dir.path().join("a b,\"&=%").join("long".repeat(30));
    let first = Stack::start(Some(dir.clone())).unwrap();
    first.redis.command(&["SET", "a", "1"]).unwrap();
    first.postgres.query("postgres", "create table t as select 7 as n").unwrap();
    let refused = Stack::start(Some(dir.clone())).unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("in use by another run"), "{refused}");
    drop(first);
    let second = Stack::start(Some(dir)).unwrap();
    assert_eq!(second.redis.command(&["GET", "a"]).unwrap(), "1");
    assert_eq!(one(&second.postgres, "select n from t"), "7");
}

#[test]
fn a_folder_left_by_a_killed_server_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    let postgres = Postgres::start(in_dir(dir.path())).unwrap();
    let lock = dir.path().join("data/postmaster.pid");
    let text = std::fs::read_to_string(&lock).unwrap();
    drop(postgres);
    assert!(!lock.exists());
    // The number of a dead server has come to belong to somebody else who lives: to us.
    let pid = text.lines().next().unwrap();
    let stale = text.replacen(pid, &std::process::id().to_string(), 1);
    std::fs::write(&lock, stale).unwrap();
    std::fs::write(dir.path().join(".s.PGSQL.15000"), "").unwrap();
    std::fs::write(dir.path().join(".s.PGSQL.15000.lock"), pid).unwrap();
    let postgres = Postgres::start(in_dir(dir.path())).unwrap();
    assert_eq!(one(&postgres, "select 1"), "1");
}

#[test]
fn servers_outlive_the_thread_that_started_them() {
    let stack = std::thread::spawn(|| Stack::start(None).unwrap()).join().unwrap();
    // Death signals would arrive before these answers: both ends of a thread are long past.
    assert_eq!(one(&stack.postgres, "select 1"), "1");
    assert_eq!(stack.redis.command(&["PING"]).unwrap(), "PONG");
    assert!(!stack.postgres.log_tail().contains("shutdown request"));
}

/// Starts another process that owns a stack, in the folder if there is one, and kills it.
fn kill_an_owner(dir: Option<&Path>) -> [PathBuf; 2] {
    let scratch = tempfile::tempdir().unwrap();
    let report = scratch.path().join("report");
    let mut launch = Launch::new(std::env::current_exe().unwrap(), scratch.path().join("log"))
        .args(["--ignored", "--exact", "owner_to_be_killed"])
        .env("STACK_REPORT", &report);
    if let Some(dir) = dir {
        launch = launch.env("STACK_DIR", dir);
    }
    let mut owner = launch.spawn().unwrap();
    let text = wait_for("the owner's servers", DEADLINE, || {
        assert!(owner.is_running(), "{}", owner.log());
        let text = std::fs::read_to_string(&report).unwrap_or_default();
        text.ends_with("end\n").then_some(text)
    });
    let lines: Vec<&str> = text.lines().collect();
    let pids = [lines[0], lines[1]].map(|pid| pid.parse::<u32>().unwrap());
    assert!(pids.iter().all(|pid| lives(*pid)));
    owner.kill9();
    for pid in pids {
        wait_for("the death of a server", DEADLINE, || (!lives(pid)).then_some(()));
    }
    [lines[2], lines[3]].map(PathBuf::from)
}

#[test]
fn servers_die_with_a_killed_owner_and_the_next_one_sweeps() {
    let dirs = kill_an_owner(None);
    wait_for("the sweep", DEADLINE, || {
        Redis::start(RedisOptions::default()).unwrap();
        dirs.iter().all(|dir| !dir.exists()).then_some(())
    });
}

#[test]
fn a_kept_folder_of_a_killed_owner_starts_again() {
    // Only root may enter it, so that root's Postgres needs the right to pass.
    let dir = tempfile::tempdir().unwrap();
    kill_an_owner(Some(dir.path()));
    let stack = Stack::start(Some(dir.path().to_owned())).unwrap();
    assert_eq!(one(&stack.postgres, "select n from t"), "7");
    assert_eq!(stack.redis.command(&["GET", "a"]).unwrap(), "1");
}

/// Not a test: the other process of those above.
#[test]
#[ignore = "waits to be killed by another test"]
#[expect(clippy::disallowed_methods, reason = "a child is told its part like any process")]
fn owner_to_be_killed() {
    let Some(report) = std::env::var_os("STACK_REPORT") else {
        return;
    };
    let stack = Stack::start(std::env::var_os("STACK_DIR").map(PathBuf::from)).unwrap();
    stack.redis.command(&["SET", "a", "1"]).unwrap();
    stack.postgres.query("postgres", "create table t as select 7 as n").unwrap();
    let text = format!(
        "{}\n{}\n{}\n{}\nend\n",
        stack.postgres.pid(),
        stack.redis.pid(),
        socket_dir(&stack.postgres.url("postgres")).display(),
        stack.redis.dir().display()
    );
    std::fs::write(report, text).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_port_taken_meanwhile_is_waited_for() {
    let mut redis = Redis::start(RedisOptions::default()).unwrap();
    let port = redis.port();
    redis.stop();
    let thief = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let log = redis.dir().join("redis.log");
    let restarted = std::thread::spawn(move || redis.start_again().map(|()| redis));
    wait_for("the first failure", DEADLINE, || {
        let log = std::fs::read_to_string(&log).unwrap();
        log.contains("Address already in use").then_some(())
    });
    drop(thief);
    let redis = restarted.join().unwrap().unwrap();
    assert_eq!(redis.port(), port);
    assert_eq!(redis.command(&["PING"]).unwrap(), "PONG");
}

#[test]
fn fresh_databases_are_new_and_empty() {
    let urls = [fresh_database(), fresh_database()];
    assert_ne!(urls[0], urls[1]);
    assert!(std::ptr::eq(Postgres::shared(), Postgres::shared()));
    for url in urls {
        let name = url.strip_prefix("postgres:///").unwrap();
        let name = name.split('?').next().unwrap();
        let tables = "select count(*) from pg_class where relnamespace = 'public'::regnamespace";
        let count = Postgres::shared().query(name, tables).unwrap();
        assert_eq!(count, [[Some("0".to_owned())]]);
    }
}

#[test]
fn refusals_say_what_was_wrong() {
    let postgres = Postgres::start(PostgresOptions {
        settings: vec![("max_connections".into(), "20".into())],
        ..PostgresOptions::default()
    })
    .unwrap();
    assert_eq!(one(&postgres, "show max_connections"), "20");
    let error = format!("{:#}", postgres.query("nowhere", "select 1").unwrap_err());
    assert!(error.contains("3D000"), "{error}");
    let error = format!("{:#}", postgres.query("postgres", "selec").unwrap_err());
    assert!(error.contains("42601"), "{error}");
    let nonsense = Postgres::start(PostgresOptions {
        settings: vec![("no_such_setting".into(), "1".into())],
        ..PostgresOptions::default()
    });
    let error = format!("{:#}", nonsense.unwrap_err());
    assert!(error.contains("no_such_setting"), "{error}");
    let nonsense =
        Redis::start(RedisOptions { extra: vec!["--no-such-option".into(), "1".into()], ..RedisOptions::default() });
    let error = format!("{:#}", nonsense.unwrap_err());
    assert!(error.contains("no-such-option"), "{error}");
}

/// Whether a process runs; one that ended and was not waited for does not.
fn lives(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat.rsplit(')').next().unwrap().trim_start();
    !state.starts_with('Z')
}

//! The files of a Postgres server: made once, made fit for another start, and its settings.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::USER;
use crate::account::Account;
use crate::home::Home;
use crate::process::Launch;
use crate::tools::Found;
use crate::wait::try_wait_for;

const INITDB_MAX_S: u64 = 120;
/// How long a server whose owner was just killed may take to end.
const PREDECESSOR_MAX_S: u64 = 30;

/// Sensible for a development machine with a few cores and some memory to spare. The first three
/// are what "committed" means; tests of crashes rely on them.
const SETTINGS: [(&str, &str); 15] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("listen_addresses", "127.0.0.1"),
    ("max_connections", "200"),
    ("shared_buffers", "256MB"),
    ("work_mem", "16MB"),
    ("jit", "off"),
    // Few checkpoints: each one is followed by whole pages in the log.
    ("checkpoint_timeout", "15min"),
    ("max_wal_size", "4GB"),
    // Rows of a hot lane are updated with every batch; their dead versions must go soon.
    ("autovacuum_naptime", "15s"),
    ("random_page_cost", "1.1"),
    ("lc_messages", "C"),
    ("timezone", "UTC"),
    ("log_line_prefix", "%m [%p] %d "),
];

/// The `-c` arguments of a start; later ones win, so the caller's come last.
pub(super) fn arguments(port: u16, sockets: &Path, extra: &[(String, String)]) -> Vec<String> {
    // The setting is a list: a comma in a folder's name would split it unless it is quoted.
    let sockets = format!("\"{}\"", sockets.display().to_string().replace('"', "\"\""));
    let own = [("port".to_owned(), port.to_string()), ("unix_socket_directories".to_owned(), sockets)];
    SETTINGS
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .chain(extra.iter().cloned())
        .chain(own)
        .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
        .collect()
}

/// Makes the data folder if it is not there.
pub(super) fn make(found: &Found, home: &Home, account: Option<Account>) -> Result<()> {
    let data = home.path().join("data");
    if let Some(account) = account {
        account.take(home.path())?;
    }
    if data.join("PG_VERSION").is_file() {
        return Ok(());
    }
    // Made beside and renamed at the end, so that a killed run leaves nothing that looks whole.
    let unfinished = home.path().join("data.new");
    let mut complaint = String::new();
    for locale in ["C.UTF-8", "C"] {
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished).with_context(|| format!("removing {}", unfinished.display()))?;
        }
        let mut launch = Launch::new(found.program("initdb"), home.path().join("initdb.log"))
            .dir(home.path())
            .account(account)
            .may_pass_folders(is_out_of_reach(found, &data, account))
            .args(["--auth=trust", "--username", USER, "--encoding=UTF8"])
            .arg(format!("--locale={locale}"))
            .arg("--pgdata")
            .arg(&unfinished);
        if home.is_temporary() {
            launch = launch.arg("--no-sync");
        }
        if let Some((name, value)) = found.env() {
            launch = launch.env(name, value);
        }
        let mut initdb = launch.spawn()?;
        if initdb.wait(Duration::from_secs(INITDB_MAX_S))?.success() {
            return std::fs::rename(&unfinished, &data).with_context(|| format!("naming {}", data.display()));
        }
        complaint = initdb.log();
    }
    bail!("initdb failed in {}:\n{complaint}", home.path().display())
}

/// Whether folders that only root may enter lie above the data or the programs.
pub(super) fn is_out_of_reach(found: &Found, data: &Path, account: Option<Account>) -> bool {
    let server = found.server();
    account.is_some_and(|account| ![data, &server].iter().all(|path| account.reaches(path)))
}

/// Removes what a killed server left behind; waits for one that is just ending.
///
/// Postgres itself refuses to start when the process id in an old lock file has come to belong
/// to any other process of the account.
pub(super) fn clear_leftovers(home: &Path, sockets: &Path) -> Result<()> {
    let data = home.join("data");
    let lock = data.join("postmaster.pid");
    let what = format!("the end of an earlier Postgres in {}", data.display());
    let deadline = Duration::from_secs(PREDECESSOR_MAX_S);
    try_wait_for(&what, deadline, || (!holds(&lock, &data)).then_some(()))?;
    let stale_sockets = std::fs::read_dir(sockets)
        .with_context(|| format!("reading {}", sockets.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with(".s.PGSQL.")
        });
    for stale in stale_sockets.chain([lock]) {
        match std::fs::remove_file(&stale) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("removing {}", stale.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the process named in the lock file lives and is the server of this data folder.
fn holds(lock: &Path, data: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(lock) else {
        return false;
    };
    let Some(pid) = text.lines().next().and_then(|pid| pid.parse::<u32>().ok()) else {
        return false;
    };
    // Without /proc the lock file is believed, which is what Postgres itself does.
    if !Path::new("/proc/self").exists() {
        return true;
    }
    let data = data.as_os_str().as_encoded_bytes();
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|command| command.split(|byte| *byte == 0).any(|argument| argument == data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_settings_come_after_ours_and_the_place_last() {
        let extra = [("fsync".to_owned(), "off".to_owned())];
        let arguments = arguments(15_432, Path::new("/tmp/a,\"b"), &extra);
        let position = |wanted: &str| {
            arguments.iter().position(|argument| argument == wanted).unwrap_or_else(|| panic!("{wanted} is missing"))
        };
        assert!(position("fsync=on") < position("fsync=off"));
        assert!(position("fsync=off") < position("port=15432"));
        position("unix_socket_directories=\"/tmp/a,\"\"b\"");
    }
}

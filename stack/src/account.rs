//! Which account a server runs as: Postgres refuses to be root.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use anyhow::{Context, Result};

/// Accounts to take instead of root, best first.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// A user and its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub uid: u32,
    pub gid: u32,
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The account for a server that may not be root; `None` when we are not root ourselves.
pub(crate) fn instead_of_root() -> Result<Option<Account>> {
    if !is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    NAMES
        .iter()
        .find_map(|name| account_named(&users, name))
        .map(Some)
        .with_context(|| format!("we are root, and none of the accounts {NAMES:?} exists"))
}

fn account_named(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { uid, gid })
    })
}

impl Account {
    /// Makes one file or folder the account's own.
    pub fn take(self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("giving {} to uid {}", path.display(), self.uid))
    }

    /// Whether the account may walk through all folders above `path`.
    pub fn reaches(self, path: &Path) -> bool {
        path.ancestors().skip(1).all(|folder| {
            std::fs::metadata(folder).is_ok_and(|folder| {
                let shift = if folder.uid() == self.uid {
                    6
                } else if folder.gid() == self.gid {
                    3
                } else {
                    0
                };
                (folder.mode() >> shift) & 1 == 1
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_by_their_full_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody2:x:7:7::/:/x\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\nbroken\n";
        let rows = [
            ("postgres", Some(Account { uid: 101, gid: 104 })),
            ("root", Some(Account { uid: 0, gid: 0 })),
            ("nobody", None),
            ("broken", None),
        ];
        for (name, want) in rows {
            assert_eq!(account_named(users, name), want, "{name}");
        }
    }
}

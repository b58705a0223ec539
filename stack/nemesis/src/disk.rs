//! A disk of its own that can be full: memory with a size, which is mounted where a server keeps its data.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// More than a run of an hour writes: what is not written takes no memory.
const SIZE_BYTES: u64 = 8 << 30;

/// The server goes on writing between measuring the disk and filling it.
const FILL_TRIES_MAX: usize = 100;

/// Waits until whoever started it has ended in whatever way, and makes the folder one again: a server that is just ending may
/// have a file open, and the disk then goes with it.
const GO_WITH_US: &str = "read -r _; umount --lazy \"$0\"";

/// Gone when it is dropped, and when we end, with everything on it.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    goes_with_us: Child,
}

impl Disk {
    /// Makes the folder a disk.
    ///
    /// # Errors
    /// When we may not: only root can, and not in every container.
    pub fn mount(folder: &Path) -> Result<Disk> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        run(mount(&format!("size={SIZE_BYTES}")).args(["-t", "tmpfs", "droplane-nemesis"]).arg(folder))?;
        let mut goes_with_us = Command::new("sh");
        goes_with_us.args(["-c", GO_WITH_US]).arg(folder).stdin(Stdio::piped());
        // Ctrl-C in a terminal goes to a whole process group.
        let goes_with_us = goes_with_us.process_group(0).spawn().context("starting who unmounts a disk")?;
        Ok(Disk { folder: folder.to_owned(), goes_with_us })
    }

    /// Leaves room for nothing more than what is on it.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn fill(&self) -> Result<()> {
        let mut filled = Ok(());
        for _ in 0..FILL_TRIES_MAX {
            filled = self.used().and_then(|used| self.resize(used));
            if filled.is_ok() {
                break;
            }
        }
        filled
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn free(&self) -> Result<()> {
        self.resize(SIZE_BYTES)
    }

    fn resize(&self, bytes: u64) -> Result<()> {
        run(mount(&format!("remount,size={bytes}")).arg(&self.folder)).map(drop)
    }

    fn used(&self) -> Result<u64> {
        let told = run(Command::new("df").args(["--block-size=1", "--output=used"]).arg(&self.folder))?;
        told.lines().last().and_then(|line| line.trim().parse().ok()).with_context(|| format!("df says {told}"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It waits for our end of its input to close, which `wait` does first.
        let ended = self.goes_with_us.wait();
        if !ended.is_ok_and(|status| status.success()) {
            stack::tell_skipped(format_args!("{} stays mounted", self.folder.display()));
        }
    }
}

fn mount(options: &str) -> Command {
    let mut command = Command::new("mount");
    command.args(["-o", options]);
    command
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_nothing_more_until_it_is_freed() {
        let folder = tempfile::tempdir().unwrap();
        let disk = match Disk::mount(folder.path()) {
            Ok(disk) => disk,
            Err(error) => return stack::tell_skipped(format_args!("no disk can be filled here: {error:#}")),
        };
        let write = |name: &str| std::fs::write(folder.path().join(name), vec![1; 1 << 20]);
        write("before").unwrap();
        disk.fill().unwrap();
        assert_eq!(write("while").unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        disk.free().unwrap();
        write("after").unwrap();
        drop(disk);
        assert!(!folder.path().join("after").exists(), "it is gone with its disk");
    }
}

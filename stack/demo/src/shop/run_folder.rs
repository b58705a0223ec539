//! Where a run keeps its data and logs: a folder that was asked for and stays, or a new one on the disk that the
//! program was built on. A temporary folder of the system will not do: where that is memory, "on disk" would mean
//! nothing, and a benchmark even less.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Beside the built programs, so that it goes when the build does.
const RUNS: &str = "droplane-runs";
/// Beside each run's folder, locked as long as the run lives.
const LOCK_ENDING: &str = "lock";

/// A run's folder.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The lock of a folder that goes with us, and its path.
    passing: Option<(File, PathBuf)>,
}

impl RunFolder {
    /// The folder that was asked for, or a new one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(kept: Option<PathBuf>) -> Result<RunFolder> {
        if let Some(path) = kept {
            std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
            let path = path.canonicalize().with_context(|| format!("finding {}", path.display()))?;
            return Ok(RunFolder { path, passing: None });
        }
        let program = std::env::current_exe().context("finding this program")?;
        let beside = program.parent().context("a program is in a folder")?;
        RunFolder::new_in(&beside.join(RUNS))
    }

    fn new_in(runs: &Path) -> Result<RunFolder> {
        std::fs::create_dir_all(runs).with_context(|| format!("making {}", runs.display()))?;
        sweep(runs);
        let path = runs.join(std::process::id().to_string());
        let lock_path = path.with_extension(LOCK_ENDING);
        let lock = File::create(&lock_path).with_context(|| format!("making {}", lock_path.display()))?;
        lock.lock().with_context(|| format!("locking {}", lock_path.display()))?;
        // A predecessor with our number is dead, or it could not be ours.
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(RunFolder { path, passing: Some((lock, lock_path)) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if let Some((_lock, lock_path)) = &self.passing {
            // What cannot be removed now is swept by the next run.
            let _ = std::fs::remove_dir_all(&self.path);
            let _ = std::fs::remove_file(lock_path);
        }
    }
}

/// Removes what killed runs left behind.
fn sweep(runs: &Path) {
    let Ok(entries) = std::fs::read_dir(runs) else {
        return;
    };
    for entry in entries.flatten() {
        let lock_path = entry.path();
        if lock_path.extension().is_none_or(|ending| ending != LOCK_ENDING) {
            continue;
        }
        let Ok(lock) = File::open(&lock_path) else {
            continue;
        };
        match lock.try_lock() {
            Ok(()) => {
                let _ = std::fs::remove_dir_all(lock_path.with_extension(""));
                let _ = std::fs::remove_file(&lock_path);
            }
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_folder_goes_and_a_kept_one_stays() {
        let runs = tempfile::tempdir().unwrap();
        let passing = RunFolder::new_in(runs.path()).unwrap();
        std::fs::write(passing.path().join("data"), "1").unwrap();
        drop(passing);
        assert_eq!(std::fs::read_dir(runs.path()).unwrap().count(), 0);

        let kept = runs.path().join("kept");
        drop(RunFolder::open(Some(kept.clone())).unwrap());
        assert!(kept.is_dir());
    }

    #[test]
    fn what_a_killed_run_left_is_swept_and_what_lives_is_not() {
        let runs = tempfile::tempdir().unwrap();
        let dead = runs.path().join("1");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.with_extension(LOCK_ENDING), "").unwrap();
        let alive = runs.path().join("2");
        std::fs::create_dir(&alive).unwrap();
        let lock = File::create(alive.with_extension(LOCK_ENDING)).unwrap();
        lock.lock().unwrap();
        let mine = RunFolder::new_in(runs.path()).unwrap();
        assert!(!dead.exists() && alive.exists() && mine.path().exists());
    }
}

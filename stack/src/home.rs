//! The folder of one server: kept, or gone when its owner is.

use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// A socket's path has 108 bytes in Linux and 104 elsewhere, with the closing zero.
const SOCKET_PATH_MAX_BYTES: usize = 103;

/// In every folder: locked by its owner as long as that lives, whatever ends it.
const LOCK: &str = "owner.lock";

/// A folder that nobody else uses while this value lives.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    // Declared before the lock, so that the folder is gone before others may look at it.
    temporary: Option<TempDir>,
    _lock: File,
}

impl Home {
    /// The given folder, or a new one that is removed on drop.
    pub fn open(kept: Option<&Path>, label: &str) -> Result<Home> {
        match kept {
            Some(path) => Home::kept(path),
            None => Home::temporary(label),
        }
    }

    /// A folder that stays.
    ///
    /// # Errors
    /// When it cannot be made, or another live process uses it.
    fn kept(path: &Path) -> Result<Home> {
        std::fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("finding {}", path.display()))?;
        let lock = lock_file(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Home { path, temporary: None, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("{} is in use by another run", path.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
        }
    }

    /// A new folder with a short path, removed on drop. If we are killed before that, the next
    /// process to make one removes it.
    pub fn temporary(label: &str) -> Result<Home> {
        let root = temporary_root()?;
        // Making and sweeping are serialized: a folder is never seen before it is locked.
        let serialized = lock_file(&root)?;
        serialized.lock().context("waiting for other runs")?;
        let dead = abandoned(&root);
        let dir = tempfile::Builder::new()
            .prefix(&format!("{label}-"))
            .rand_bytes(6)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&root)
            .with_context(|| format!("making a folder in {}", root.display()))?;
        let lock = lock_file(dir.path())?;
        lock.lock().context("locking a new folder")?;
        drop(serialized);
        for (folder, _lock) in dead {
            // A server that was told to end by its owner's death may still write here; what is
            // left over is found again by the next sweep.
            let _ = std::fs::remove_dir_all(folder);
        }
        Ok(Home { path: dir.path().to_owned(), temporary: Some(dir), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// Whether a socket of this file name fits below the folder.
    pub fn has_room_for_socket(&self, name: &str) -> bool {
        self.path.join(name).as_os_str().len() <= SOCKET_PATH_MAX_BYTES
    }
}

/// The parent of all temporary folders of this user, where another account may pass, but not look.
fn temporary_root() -> Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let name = format!("droplane-{uid}");
    // Room for "/pg-xxxxxx/.s.PGSQL.12345" below it; some systems' own TMPDIR is very long.
    const ROOT_MAX_BYTES: usize = SOCKET_PATH_MAX_BYTES - 40;
    let mut root = std::env::temp_dir().join(&name);
    if !root.is_absolute() || root.as_os_str().len() > ROOT_MAX_BYTES {
        root = Path::new("/tmp").join(&name);
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(&root)
        .with_context(|| format!("making {}", root.display()))?;
    let found = std::fs::symlink_metadata(&root).with_context(|| format!("looking at {}", root.display()))?;
    // In a folder that everybody may write to, somebody else may have taken the name.
    if !found.is_dir() || found.uid() != uid {
        bail!("{} is there and not ours", root.display());
    }
    Ok(root)
}

fn lock_file(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))
}

/// Folders whose owner is dead, each with its lock, which is ours now.
fn abandoned(root: &Path) -> Vec<(PathBuf, File)> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .filter_map(|folder| {
            let lock = lock_file(&folder).ok()?;
            lock.try_lock().ok()?;
            Some((folder, lock))
        })
        .collect()
}

//! A clock that is wrong for one process.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::install::package_program;

/// Where the library of the package may be, below the folder of the machine's libraries.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The variables that put a process' clock so many seconds ahead, or behind if there are fewer than none.
///
/// # Errors
/// When libfaketime is not there and cannot be had.
pub fn clock_off_by(seconds: i64) -> Result<[(&'static str, String); 3]> {
    Ok([
        // The C library's own allocator comes before any other: jemalloc, which Redis has, asks for the time before the
        // clock is ready to be wrong.
        ("LD_PRELOAD", format!("{}:libc.so.6", library()?.display())),
        ("FAKETIME", format!("{seconds:+}s")),
        // Only the time of day is wrong: what runs evenly on any machine runs evenly here.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ])
}

fn library() -> Result<PathBuf> {
    package_program("faketime", &["faketime"])?;
    let library = PathBuf::from(format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH)).join(LIBRARY);
    ensure!(library.is_file(), "faketime is here, and {} is not", library.display());
    Ok(library)
}

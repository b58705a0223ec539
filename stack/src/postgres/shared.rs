//! One Postgres for all tests of a process.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Postgres, PostgresOptions};

pub(super) fn server() -> &'static Postgres {
    // Statics are never dropped: the kernel ends the server when the process ends, and whoever
    // makes the next temporary folder removes this one.
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(|| {
        let options = PostgresOptions {
            data_dir: None,
            // Nobody crashes this one, so commits need not wait for the disk.
            settings: ["fsync", "full_page_writes"].map(|name| (name.to_owned(), "off".to_owned())).to_vec(),
        };
        match Postgres::start(options) {
            Ok(postgres) => postgres,
            Err(error) => panic!("starting the Postgres shared by tests: {error:#}"),
        }
    })
}

/// The address of a new, empty database on [`Postgres::shared`].
///
/// # Panics
/// When the server cannot be started or refuses.
pub fn fresh_database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let postgres = server();
    let name = format!("fresh_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    if let Err(error) = postgres.create_database(&name) {
        panic!("making a database for a test: {error:#}");
    }
    postgres.url(&name)
}

/// An address of one of these servers for another of its roles; none needs a password.
///
/// # Panics
/// When the address is none of [`Postgres::url`].
pub fn as_role(url: &str, role: &str) -> String {
    let (rest, _) = url.rsplit_once("user=").unwrap_or_else(|| panic!("{url} names no role at its end"));
    format!("{rest}user={}", crate::url::escape(role))
}

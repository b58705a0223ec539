//! What `monitoring/` holds, against what the programs export: the files by themselves, the rules in promtool, and every
//! expression in a real Prometheus that looks at a real shop.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod expressions;
mod files;
mod live;
mod rules;
#[path = "../whole_path/shop.rs"]
#[expect(dead_code, reason = "not every test needs all that a shop can do")]
mod shop;
mod structure;

use stack::PrometheusTools;

/// Has both programs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_demo");

/// The programs of Prometheus; none where they cannot be had, which is told.
fn tools() -> Option<PrometheusTools> {
    match PrometheusTools::find_or_install() {
        Ok(tools) => Some(tools),
        Err(error) => {
            stack::tell_skipped(format_args!("there is no Prometheus here: {error:#}"));
            None
        }
    }
}

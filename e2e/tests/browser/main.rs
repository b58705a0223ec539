//! What people see, in a real browser: the storefront and the console, beside both programs, their servers and the world
//! outside. Where no browser can be had, each test says so and looks at nothing.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]

/// The programs of a browser, or the end of the test.
macro_rules! programs_or_skip {
    () => {
        match crate::programs_or_none() {
            Some(programs) => programs,
            None => return,
        }
    };
}

mod axe;
mod browser;
mod console;
mod every_page;
mod markup;
#[path = "../../../stack/demo/tests/whole_path/shop.rs"]
#[expect(dead_code, reason = "a browser needs less of it")]
mod programs;
mod shop;
mod storefront;

/// Has both programs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_e2e");

/// The programs of a browser; none where they cannot be had, which is told.
fn programs_or_none() -> Option<browser::Programs> {
    match browser::programs() {
        Ok(programs) => Some(programs),
        Err(why) => {
            stack::tell_skipped(format_args!("there is no browser here: {why}"));
            None
        }
    }
}

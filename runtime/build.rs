//! `sqlx::migrate!` reads the folder at compile time; without this line a new migration would not be seen.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}

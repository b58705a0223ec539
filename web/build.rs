//! Tells Cargo that a new file is a change, too.

fn main() {
    println!("cargo::rerun-if-changed=static");
}

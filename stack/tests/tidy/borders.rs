//! Who may know what.

use crate::{
    Report,
    repository::{Repository, has_word, numbered, split_tests},
};

/// Words of the shop that the line must not know. "Order" alone is also an English word of the line.
const SHOP_WORDS: [&str; 18] = [
    "balance", "balances", "cart", "carts", "coupon", "coupons", "customer", "discount", "orders", "price", "product",
    "products", "shopper", "shoppers", "stock", "user", "users", "wallet",
];

/// Words of the services that the rules of the shop must not know.
const SERVICE_WORDS: [&str; 6] = ["apalis", "lua", "postgres", "redis", "sql", "sqlx"];

/// Tables whose rows belong to lanes, or say what was decided in them.
const LANE_TABLES: [&str; 10] = [
    "batches",
    "charges",
    "coupons",
    "ledger",
    "order_lines",
    "orders",
    "products",
    "requests",
    "user_coupons",
    "users",
];

/// Where those tables are written: decided batches, what an operator changes, and, in databases of their own, the shop
/// that the benchmark compares with, the orders that it counts, and the thousand shelves that nemesis has nobody touch.
const WRITERS: [&str; 5] = [
    "workers/src/store/",
    "api/src/routes/admin/",
    "stack/demo/src/baseline/",
    "stack/demo/src/bench/popular.rs",
    "stack/nemesis/src/load/goods.rs",
];

/// Sources that name apalis: the backend, the list of workers, what one of them does with a task, and the queue of messages
/// that its own storage carries.
const APALIS_FILES: [&str; 4] =
    ["lanes/src/backend.rs", "workers/src/batch.rs", "workers/src/lib.rs", "workers/src/jobs/order_sync/announce.rs"];

/// Code that holds the shop's secrets, or is shown what somebody says they are.
const SECRET_KEEPERS: [&str; 3] = ["api/src/", "runtime/src/", "workers/src/"];

/// Words for what must not be guessed, as code names it: a comparison in the same line must be `ct_eq`.
const SECRET_WORDS: [&str; 12] = [
    "admin_token",
    "bearer",
    "digest",
    "expose",
    "hmac",
    "mac",
    "password",
    "secret",
    "secrets",
    "signature",
    "token",
    "tokens",
];

/// Comparisons that end at the first difference.
const HASTY: [&str; 7] = [" == ", " != ", ".eq(", ".ne(", ".cmp(", ".starts_with(", ".ends_with("];

pub fn lanes_know_no_shop(repository: &Repository, report: &mut Report) {
    for (path, text) in repository.below("lanes/src/", &["rs", "lua"]) {
        for (number, line) in numbered(split_tests(path, text).0) {
            let lower = line.to_lowercase();
            for word in SHOP_WORDS.into_iter().filter(|word| has_word(&lower, word)) {
                report.broken(path, number, format!("says {word:?}"));
            }
        }
    }
    let manifest = repository.text("lanes/Cargo.toml").unwrap_or_default();
    for (number, line) in numbered(manifest).filter(|(_, line)| line.starts_with("common")) {
        report.broken("lanes/Cargo.toml", number, format!("depends on the shop: {line}"));
    }
}

pub fn rules_know_no_service(repository: &Repository, report: &mut Report) {
    for (path, text) in repository.below("common/src/", &["rs"]) {
        for (number, line) in numbered(text) {
            let lower = line.to_lowercase();
            for word in SERVICE_WORDS.into_iter().filter(|word| has_word(&lower, word)) {
                report.broken(path, number, format!("says {word:?}"));
            }
        }
    }
}

pub fn rows_of_lanes_have_one_writer(repository: &Repository, report: &mut Report) {
    for (path, text) in repository.below("", &["rs"]) {
        if WRITERS.iter().any(|writer| path.starts_with(writer)) {
            continue;
        }
        for (number, table) in writes(split_tests(path, text).0) {
            report.broken(path, number, format!("writes the table {table}"));
        }
    }
}

/// The tables of lanes that the SQL in a source writes. A statement may go over several lines.
fn writes(code: &str) -> Vec<(usize, &str)> {
    let words: Vec<(usize, &str)> = numbered(code)
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .flat_map(|(number, line)| line.split_whitespace().map(move |word| (number, word)))
        .map(|(number, word)| (number, word.trim_matches(|c: char| !c.is_alphanumeric() && c != '_')))
        .collect();
    let told = |at: usize| words.get(at).map(|(_, word)| word.to_lowercase()).unwrap_or_default();
    (0..words.len())
        .filter_map(|at| {
            let behind = match (told(at).as_str(), told(at + 1).as_str()) {
                ("insert" | "merge", "into") | ("delete", "from") | ("truncate", "table") | ("update", "only") => 2,
                ("update" | "truncate", _) => 1,
                _ => return None,
            };
            // `insert into orders(order_id, …)`: the table ends where the columns begin.
            let (number, word) = words.get(at + behind)?;
            let table = word.split(['(', ';']).next()?;
            LANE_TABLES.contains(&table.to_lowercase().as_str()).then_some((*number, table))
        })
        .collect()
}

pub fn apalis_is_named_in_few_files(repository: &Repository, report: &mut Report) {
    for (path, text) in repository.below("", &["rs"]).filter(|(path, _)| !APALIS_FILES.contains(path)) {
        for (number, line) in numbered(split_tests(path, text).0) {
            if line.contains("apalis") {
                report.broken(path, number, "names apalis".to_owned());
            }
        }
    }
}

pub fn secrets_are_compared_in_constant_time(repository: &Repository, report: &mut Report) {
    let kept = SECRET_KEEPERS.into_iter().flat_map(|folder| repository.below(folder, &["rs"]));
    for (path, text) in kept {
        let code = numbered(split_tests(path, text).0).filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, line) in code {
            let names = SECRET_WORDS.into_iter().find(|word| has_word(line, word));
            if let Some(word) = names
                && HASTY.iter().any(|comparison| line.contains(comparison))
            {
                report.broken(path, number, format!("compares {word:?}, and not by ct_eq"));
            }
        }
    }
}

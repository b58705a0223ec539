//! For each rule small repositories that break it, with what is then said, and some that do not.

use crate::{RULES, Report, repository::Repository};

type Files = &'static [(&'static str, &'static str)];

/// The rule, the files, and the findings: `path:line` of each.
const SAMPLES: &[(&str, Files, &[&str])] = &[
    ("lanes_know_no_shop", &[("lanes/src/a.rs", "\n// one coupon")], &["lanes/src/a.rs:2"]),
    ("lanes_know_no_shop", &[("lanes/src/lua/a.lua", "-- Orders first")], &["lanes/src/lua/a.lua:1"]),
    ("lanes_know_no_shop", &[("lanes/Cargo.toml", "[dependencies]\ncommon.workspace = true")], &["lanes/Cargo.toml:2"]),
    ("lanes_know_no_shop", &[("lanes/src/a.rs", "// in order\n#[cfg(test)]\nmod tests {\n// coupon")], &[]),
    ("lanes_know_no_shop", &[("lanes/tests/a.rs", "coupon"), ("lanes/README.md", "coupon")], &[]),
    (
        "rules_know_no_service",
        &[("common/src/a.rs", "/// Redis\nuse sqlx::Row;")],
        &["common/src/a.rs:1", "common/src/a.rs:2"],
    ),
    ("rules_know_no_service", &[("common/src/a.rs", "fn result() {}"), ("workers/src/a.rs", "redis")], &[]),
    (
        "rows_of_lanes_have_one_writer",
        &[("workers/src/a.rs", "\"insert into orders(id)\"\n\"update\n  users set\"\n\"delete from ledger;\"")],
        &["workers/src/a.rs:1", "workers/src/a.rs:3", "workers/src/a.rs:4"],
    ),
    ("rows_of_lanes_have_one_writer", &[("workers/src/store/a.rs", "insert into orders")], &[]),
    ("rows_of_lanes_have_one_writer", &[("api/src/routes/admin/a.rs", "update products")], &[]),
    ("rows_of_lanes_have_one_writer", &[("api/tests/a.rs", "update products")], &[]),
    (
        "rows_of_lanes_have_one_writer",
        &[("api/src/a.rs", "for update of products; insert into alerts // update users")],
        &["api/src/a.rs:1"],
    ),
    ("rows_of_lanes_have_one_writer", &[("api/src/a.rs", "for no key update of products\n// update users")], &[]),
    ("apalis_is_named_in_few_files", &[("workers/src/a.rs", "use apalis_core::Task;")], &["workers/src/a.rs:1"]),
    ("apalis_is_named_in_few_files", &[("workers/src/lib.rs", "apalis"), ("lanes/tests/a.rs", "apalis")], &[]),
    (
        "secrets_are_compared_in_constant_time",
        &[(
            "api/src/a.rs",
            "if token == expected {}\nlet same = x.expose().eq(y);\nif digest(a).ct_eq(b).into() {}\n// a token == b",
        )],
        &["api/src/a.rs:1", "api/src/a.rs:2"],
    ),
    (
        "secrets_are_compared_in_constant_time",
        &[
            ("api/src/a.rs", "if user == tokenless {}"),
            ("api/tests/a.rs", "token == x"),
            ("lanes/src/a.rs", "digest == x"),
        ],
        &[],
    ),
    (
        "members_inherit_the_lints",
        &[
            ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\", \"c\"]"),
            ("a/Cargo.toml", "[package]"),
            ("b/Cargo.toml", "[lints]\nworkspace = true"),
        ],
        &["a/Cargo.toml:1", "Cargo.toml:1"],
    ),
    ("bans_have_reasons_and_hold_everywhere", &[("clippy.toml", "x = [\n{ path = \"a\" },\n]")], &["clippy.toml:2"]),
    (
        "bans_have_reasons_and_hold_everywhere",
        &[("clippy.toml", "x = [\n{ path = \"a\", reason = \"b\" },\n]\ny = true"), ("a/clippy.toml", "x = []")],
        &["a/clippy.toml:1", "a/clippy.toml:1"],
    ),
    (
        "every_metric_is_measured",
        &[
            ("runtime/src/metrics.rs", "    api counter A = \"droplane_a\", a(group):"),
            ("api/src/x.rs", "metrics x.a(1); fn a() {}; ba(2)"),
        ],
        &["runtime/src/metrics.rs:1"],
    ),
    (
        "every_metric_is_measured",
        &[
            ("runtime/src/metrics.rs", "    api counter A = \"droplane_a\", a(group):"),
            ("api/src/x.rs", "metrics::a(\"g\")"),
        ],
        &[],
    ),
    (
        "settings_are_documented",
        &[("a.rs", "env = \"A_B\""), ("README.md", "| `C_D` | x |"), (".env.example", "A_B=1")],
        &["README.md:1", "README.md:1"],
    ),
    (
        "settings_are_documented",
        &[
            ("a.rs", "env = \"A_B\", env = \"C_D\""),
            ("README.md", "| `A_B`, `C_D` | `E_F` |"),
            (".env.example", "# why\n# A_B=\nC_D=1"),
        ],
        &[".env.example:1"],
    ),
    (
        "settings_are_documented",
        &[("a.rs", "env = \"A_B\""), (".env.example", "# why\n# A_B=1\n"), ("README.md", "| `A_B` |")],
        &[],
    ),
    (
        "settings_are_documented",
        &[
            ("a.rs", "struct Taken {\nenv = \"A_B\"\n}\nstruct Kept {\nenv = \"C_D\"\n}"),
            ("b.rs", "taken: Taken"),
            (".env.example", "# why\n# C_D="),
        ],
        &[".env.example:1", ".env.example:1"],
    ),
    (
        "migrations_are_numbered",
        &[("migrations/0001_a.sql", ""), ("migrations/0003_b.sql", "")],
        &["migrations/0003_b.sql:1"],
    ),
    (
        "migrations_are_numbered",
        &[("migrations/0001_a.sql", ""), ("migrations/0001_b.sql", "")],
        &["migrations/0001_b.sql:1"],
    ),
    (
        "every_script_is_run",
        &[("lanes/src/script.rs", "A = \"ab\", X"), ("lanes/src/lua/a.lua", "")],
        &["lanes/src/lua/a.lua:1"],
    ),
    (
        "every_script_is_run",
        &[
            ("lanes/src/script.rs", "A = \"a\", X\n\"lua/p.lua\""),
            ("lanes/src/lua/a.lua", ""),
            ("lanes/src/lua/p.lua", ""),
        ],
        &[],
    ),
    (
        "bounds_have_reasons_and_units",
        &[("a/src/limits.rs", "\npub const BODY_BYTES: u8 = 1;"), ("a/src/b.rs", "BODY_BYTES")],
        &["a/src/limits.rs:2"],
    ),
    (
        "bounds_have_reasons_and_units",
        &[("a/src/limits.rs", "/// Why.\npub const QUEUE_MAX: u8 = 1;"), ("a/src/b.rs", "QUEUE_MAX")],
        &["a/src/limits.rs:2"],
    ),
    (
        "bounds_have_reasons_and_units",
        &[("a/src/limits.rs", "/// Why.\npub const LINES_MAX: u8 = 1;"), ("a/src/b.rs", "OTHER_LINES_MAX")],
        &["a/src/limits.rs:2"],
    ),
    (
        "bounds_have_reasons_and_units",
        &[
            (
                "a/src/limits.rs",
                "/// Why.\npub const LINES_MAX: u8 = 1;\n/// Why.\npub const TTL: Duration = X;\n/// W.\npub const fn f(a: u8) {}",
            ),
            ("a/src/b.rs", "LINES_MAX TTL"),
        ],
        &[],
    ),
    ("documents_name_what_exists", &[("README.md", "\nsee `a/b.rs`"), ("a/c.rs", "")], &["README.md:2"]),
    ("documents_name_what_exists", &[("README.md", "see `a/old/`"), ("a/c.rs", "")], &["README.md:1"]),
    (
        "documents_name_what_exists",
        &[
            ("README.md", "`a/c.rs` `src/d.rs` `a/` `text/plain` `GET /a/b` `target/x.rs`"),
            ("a/c.rs", ""),
            ("b/src/d.rs", ""),
        ],
        &[],
    ),
    (
        "every_threat_has_its_test",
        &[
            (
                "THREAT_MODEL.md",
                "| threat | test |\n|---|---|\n| a | `a/b.rs::held` |\n| b | `a/b.rs::helper` |\n| c | |",
            ),
            ("a/b.rs", "#[tokio::test(x)]\n#[expect(y)]\nasync fn held() {}\nfn helper() {}"),
        ],
        &["THREAT_MODEL.md:5"],
    ),
    (
        "tests_that_are_named_exist",
        &[
            ("README.md", "| a | `a/b.rs::held` |\n| b | `a/b.rs::helper` |\n| c | `c/d.rs::gone` |"),
            ("a/b.rs", "#[tokio::test(x)]\n#[expect(y)]\nasync fn held() {}\nfn helper() {}"),
        ],
        &["README.md:2", "README.md:3"],
    ),
    ("every_threat_has_its_test", &[("THREAT_MODEL.md", "about\n| a | no test: time cannot be seen |")], &[]),
    ("files_are_short", &[("a.rs", LONG), ("b.md", LONG)], &["a.rs:401"]),
    ("tests_do_not_sleep", &[("a/tests/b.rs", "sleep(x)")], &["a/tests/b.rs:1"]),
    ("tests_do_not_sleep", &[("a/src/b.rs", "x\n#[cfg(test)]\nmod tests {\n    time::sleep(x)")], &["a/src/b.rs:4"]),
    ("tests_do_not_sleep", &[("a/src/b.rs", "sleep(x)"), ("a/tests/c.rs", "select pg_sleep(60)")], &[]),
    ("nothing_is_left_undone", &[("a.rs", "// TODO"), ("b.lua", "-- FIXME: x")], &["a.rs:1", "b.lua:1"]),
    ("nothing_is_left_undone", &[("a.rs", "#[ignore]\n#[ignore = \"long\"]")], &["a.rs:1"]),
    ("no_machine_is_named", &[("a.md", "see /home/me"), ("b.rs", "\"/tmp/x\"")], &["a.md:1", "b.rs:1"]),
    ("no_machine_is_named", &[("a.md", "target/tmp/x"), ("stack/tests/b.rs", "/tmp/x")], &[]),
    ("packages_come_from_the_public_registry", &[(".cargo/config.toml", "[source.x]")], &[".cargo/config.toml:1"]),
    ("packages_come_from_the_public_registry", &[(".ci/run", "export GOPROXY=x")], &[".ci/run:1"]),
    (
        "packages_come_from_the_public_registry",
        &[("Cargo.lock", "source = \"registry+https://a.example/index\"")],
        &["Cargo.lock:1"],
    ),
    (
        "packages_come_from_the_public_registry",
        &[("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\"")],
        &[],
    ),
    ("one_word_for_one_thing", &[("a.md", "the queue name")], &["a.md:1"]),
    ("one_word_for_one_thing", &[("a.toml", "the queue name"), ("b.md", "the lane")], &[]),
];

/// 401 lines.
const LONG: &str = match std::str::from_utf8(&[b'\n'; 401]) {
    Ok(text) => text,
    Err(_) => "",
};

#[test]
fn every_rule_finds_what_is_wrong_and_nothing_else() {
    for (name, files, expected) in SAMPLES {
        let rule = RULES.iter().find(|rule| rule.name == *name).unwrap_or_else(|| panic!("there is no rule {name}"));
        let mut report = Report::default();
        (rule.check)(&Repository::of(files), &mut report);
        let found: Vec<_> = report.broken.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(found, *expected, "{name} of {files:?} says {:#?}", report.broken);
    }
}

#[test]
fn every_rule_has_a_sample_that_it_bites() {
    for rule in RULES {
        let bites = SAMPLES.iter().any(|(name, _, expected)| *name == rule.name && !expected.is_empty());
        assert!(bites, "{} may never have found anything", rule.name);
    }
}

#[test]
fn a_document_that_is_not_there_is_told_of() {
    let mut report = Report::default();
    crate::agreement::documents_name_what_exists(&Repository::default(), &mut report);
    assert_eq!(report.skipped.len(), 6);
    assert!(report.broken.is_empty());
}

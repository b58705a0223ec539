//! The rules of the house that no compiler knows: who may know what, what must agree, how files look. Each reads the
//! repository as text, and each is shown to bite. What the rules of the shop may use is checked in `common/tests/pure.rs`,
//! and what nobody may call stands in `clippy.toml`.

#[path = "tidy/agreement.rs"]
mod agreement;
#[path = "tidy/borders.rs"]
mod borders;
#[path = "tidy/repository.rs"]
mod repository;
#[path = "tidy/samples.rs"]
mod samples;
#[path = "tidy/text.rs"]
mod text;

use repository::Repository;

/// What a rule found.
#[derive(Debug, Default)]
struct Report {
    broken: Vec<String>,
    skipped: Vec<String>,
}

impl Report {
    fn broken(&mut self, path: &str, line: usize, what: String) {
        self.broken.push(format!("{path}:{line} {what}"));
    }

    /// A document that is not written yet cannot be wrong.
    fn skipped(&mut self, path: &str) {
        self.skipped.push(format!("there is no {path} yet"));
    }
}

/// A rule, and why it is one.
struct Rule {
    name: &'static str,
    why: &'static str,
    check: fn(&Repository, &mut Report),
}

macro_rules! rules {
    ($($module:ident::$name:ident: $why:literal;)*) => {
        const RULES: &[Rule] = &[$(Rule { name: stringify!($name), why: $why, check: $module::$name }),*];

        $(
            #[test]
            fn $name() {
                hold(stringify!($name));
            }
        )*
    };
}

rules! {
    borders::lanes_know_no_shop: "the line is to be of use to others: it moves bytes in order, whatever they mean";
    borders::rules_know_no_service: "a rule that knows where its rows come from cannot be replayed without it";
    borders::rows_of_lanes_have_one_writer: "the fence holds only if nobody writes past it";
    borders::apalis_is_named_in_few_files: "a runtime of workers that is everywhere cannot be exchanged";
    borders::secrets_are_compared_in_constant_time: "how long a comparison takes tells how much of a guess is right";
    agreement::members_inherit_the_lints: "a crate without the lints is a house of its own";
    agreement::bans_have_reasons_and_hold_everywhere: "a ban that nobody understands is worked around";
    agreement::every_metric_is_measured: "a series that is always 0 looks like good news";
    agreement::settings_are_documented: "a setting that is not written down is found out at night";
    agreement::migrations_are_numbered: "they are applied in this order, on every machine";
    agreement::every_script_is_run: "a script that nobody runs still looks like the protocol";
    agreement::bounds_have_reasons_and_units: "a bound without reason is never changed, one without unit is changed wrongly";
    agreement::documents_name_what_exists: "a page that sends its reader to a file that is gone is not read again";
    agreement::every_threat_has_its_test: "a defence that nobody attacks is a belief";
    agreement::tests_that_are_named_exist: "whoever looks for what a page relies on finds nothing";
    text::files_are_short: "what does not fit into the head is not understood";
    text::tests_do_not_sleep: "a pause is too short on a busy machine and too long on any other: wait for a condition";
    text::nothing_is_left_undone: "what is left to do is an issue, where it is seen";
    text::no_machine_is_named: "it must work on another machine";
    text::packages_come_from_the_public_registry: "everybody must be able to build it";
    text::one_word_for_one_thing: "two words for one thing are searched for twice";
}

fn hold(name: &str) {
    let rule = RULES.iter().find(|rule| rule.name == name).expect("a rule of the list");
    let mut report = Report::default();
    (rule.check)(&Repository::read(), &mut report);
    report.skipped.iter().for_each(stack::tell_skipped);
    assert!(report.broken.is_empty(), "{}\n{}", rule.why, report.broken.join("\n"));
}

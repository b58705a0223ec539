//! The form of a row in the table of metrics.

use crate::metrics::{COMMANDS_BUCKETS, SECONDS_BUCKETS};

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The name as Prometheus sees it.
    pub name: &'static str,
    /// What is measured.
    pub kind: Kind,
    /// The names of its labels, in the order of the function's arguments.
    pub labels: &'static [&'static str],
    /// The programs that export it.
    pub exported_by: &'static [Process],
    /// What it means.
    pub help: &'static str,
}

/// What is measured, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// A value that is so now.
    Gauge,
    /// Observations, counted in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    pub(super) const SECONDS: Kind = Kind::Histogram(&SECONDS_BUCKETS);
    pub(super) const COMMANDS: Kind = Kind::Histogram(&COMMANDS_BUCKETS);
}

/// The programs of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// The public door.
    Api,
    /// Those who decide.
    Workers,
}

impl Process {
    /// The name that logs and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Process::Api => "api",
            Process::Workers => "workers",
        }
    }
}

/// Makes of each row a constant with the name, a function that gives the series of some label values, and an entry of
/// `ALL`.
macro_rules! metrics_table {
    ($($by:ident $kind:ident $(($unit:ident))? $NAME:ident = $name:literal, $function:ident($($label:ident),*): $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $NAME: &str = $name;

            #[doc = $help]
            pub fn $function($($label: impl Into<::metrics::SharedString>),*) -> metrics_table!(@type $kind) {
                ::metrics::$kind!($NAME $(, stringify!($label) => $label)*)
            }
        )*

        /// Every metric there is.
        pub const ALL: &[Metric] = &[$(
            Metric {
                name: $NAME,
                kind: metrics_table!(@kind $kind $($unit)?),
                labels: &[$(stringify!($label)),*],
                exported_by: metrics_table!(@by $by),
                help: $help,
            },
        )*];
    };
    (@type counter) => { ::metrics::Counter };
    (@type gauge) => { ::metrics::Gauge };
    (@type histogram) => { ::metrics::Histogram };
    (@kind counter) => { Kind::Counter };
    (@kind gauge) => { Kind::Gauge };
    (@kind histogram) => { Kind::SECONDS };
    (@kind histogram commands) => { Kind::COMMANDS };
    (@by api) => { &[Process::Api] };
    (@by workers) => { &[Process::Workers] };
    (@by both) => { &[Process::Api, Process::Workers] };
}
pub(super) use metrics_table;

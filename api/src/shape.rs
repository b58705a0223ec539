//! Checks of what operators send: all that is wrong is told at once.

use common::FieldError;
use common::limits::{MAX_AMOUNT_WON, MAX_NAME_CHARS, MAX_NOTE_CHARS};
use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::problem::Problem;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub struct Shape {
    errors: Vec<FieldError>,
}

impl Shape {
    /// Nothing is wrong yet.
    pub fn new() -> Shape {
        Shape::default()
    }

    /// Demands something of a member.
    pub fn demand(&mut self, holds: bool, field: &str, message: impl Display) {
        if !holds {
            self.errors.push(FieldError { field: field.to_owned(), message: message.to_string() });
        }
    }

    /// Demands a number within a range.
    pub fn range(&mut self, field: &str, value: i64, range: RangeInclusive<i64>) {
        let rule = format!("must be between {} and {}", range.start(), range.end());
        self.demand(range.contains(&value), field, rule);
    }

    /// Demands an amount of money, at or above 0.
    pub fn amount(&mut self, field: &str, won: i64) {
        self.range(field, won, 0..=MAX_AMOUNT_WON);
    }

    /// Demands a text of so many characters, none of them a control character but a line's end.
    pub fn text(&mut self, field: &str, text: &str, chars: RangeInclusive<usize>) {
        let rule = format!("must have {} to {} characters", chars.start(), chars.end());
        self.demand(chars.contains(&text.chars().count()), field, rule);
        let printable = text.chars().all(|c| !c.is_control() || c == '\n' || c == '\r' || c == '\t');
        self.demand(printable, field, "must not contain control characters");
    }

    /// Demands a name that can be shown.
    pub fn name(&mut self, name: &str) {
        self.text("name", name, 1..=MAX_NAME_CHARS);
        self.demand(name.is_empty() || !name.trim().is_empty(), "name", "must not be blank");
    }

    /// Demands a note with which something is settled.
    pub fn note(&mut self, note: &str) {
        self.text("note", note, 1..=MAX_NOTE_CHARS);
        self.demand(!note.trim().is_empty(), "note", "must not be blank");
    }

    /// Ends the checks.
    ///
    /// # Errors
    /// V001 with all that is wrong.
    pub fn checked(self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::fields(self.errors)) }
    }
}

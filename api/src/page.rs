//! Pages of a list. A cursor is the id of the last row that was shown, so that a list that grows meanwhile neither
//! repeats nor skips a row.

use std::fmt::Display;
use std::str::FromStr;

use common::limits::{DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;

/// The part of a query that asks for a page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    limit: Option<String>,
    cursor: Option<String>,
}

/// A query for what belongs to one shopper.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub struct Whose {
    /// Whose; none: the caller's.
    pub user_id: Option<String>,
}

/// A query for a list that belongs to one shopper.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub struct OfUser {
    /// Whose; none: the caller's.
    pub user_id: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

impl OfUser {
    /// The part that asks for a page.
    ///
    /// # Errors
    /// As [`PageParams::page`].
    pub fn page<T: FromStr + Display>(&mut self) -> Result<Page, Problem> {
        PageParams::of(self.limit.take(), self.cursor.take()).page::<T>()
    }
}

/// Which rows are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    rows: u32,
    /// Rows after this id; the empty text stands before all ids.
    pub after: String,
}

impl PageParams {
    /// The parameters, when they stand among others.
    pub fn of(limit: Option<String>, cursor: Option<String>) -> PageParams {
        PageParams { limit, cursor }
    }

    /// Checks the limit, and that the cursor is one of a list of ids like `T`.
    ///
    /// # Errors
    /// V001 with the parameter that is wrong.
    pub fn page<T: FromStr + Display>(self) -> Result<Page, Problem> {
        let rows = match self.limit {
            None => DEFAULT_PAGE_ROWS,
            Some(limit) => limit
                .parse()
                .ok()
                .filter(|rows| (1..=MAX_PAGE_ROWS).contains(rows))
                .ok_or_else(|| Problem::field("limit", format!("must be between 1 and {MAX_PAGE_ROWS}")))?,
        };
        // Written anew: some ids have several spellings, and Postgres does not read all of them.
        let after = match self.cursor.filter(|cursor| !cursor.is_empty()).map(|cursor| cursor.parse::<T>()) {
            None => String::new(),
            Some(Ok(id)) => id.to_string(),
            Some(Err(_)) => return Err(Problem::field("cursor", "must be the nextCursor of an earlier page")),
        };
        Ok(Page { rows, after })
    }
}

impl Page {
    /// How many rows to ask for: one more than is shown tells whether there is a next page.
    pub fn limit(&self) -> i64 {
        i64::from(self.rows) + 1
    }

    /// Cuts the rows to the page, and gives the cursor of the next one.
    pub fn cut<R>(&self, mut rows: Vec<R>, id: impl Fn(&R) -> &str) -> (Vec<R>, Option<String>) {
        let shown = self.rows as usize;
        let more = rows.len() > shown;
        rows.truncate(shown);
        let next = more.then(|| rows.last().map(|row| id(row).to_owned())).flatten();
        (rows, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::ProductId;

    fn page(limit: Option<&str>, cursor: Option<&str>) -> Result<Page, Problem> {
        PageParams::of(limit.map(str::to_owned), cursor.map(str::to_owned)).page::<ProductId>()
    }

    #[test]
    fn limits_and_cursors() {
        assert_eq!(page(None, None).unwrap(), Page { rows: 20, after: String::new() });
        assert_eq!(page(Some("100"), Some("P1")).unwrap(), Page { rows: 100, after: "P1".to_owned() });
        for limit in ["0", "101", "-1", "ten", "", "1.5"] {
            assert!(page(Some(limit), None).is_err(), "{limit}");
        }
        assert!(page(None, Some("two words")).is_err());
    }

    #[test]
    fn the_row_too_many_tells_of_a_next_page() {
        let page = page(Some("2"), None).unwrap();
        assert_eq!(page.limit(), 3);
        assert_eq!(page.cut(vec!["a", "b", "c"], |id| id), (vec!["a", "b"], Some("b".to_owned())));
        assert_eq!(page.cut(vec!["a", "b"], |id| id), (vec!["a", "b"], None));
        assert_eq!(page.cut(vec![], |id: &&str| id), (vec![], None));
    }
}

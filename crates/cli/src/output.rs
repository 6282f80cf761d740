//! Data on stdout: a table for people, JSON for programs, names for pipes.

use std::fmt::Write;

use clap::ValueEnum;
use serde::Serialize;

use crate::error::{CliError, CliResult};

/// Between two columns.
const GAP: &str = "   ";

/// What `-o` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns for people
    Table,
    /// One JSON value; keys are snake_case and stable
    Json,
    /// One name a line, for pipes
    Name,
}

/// Something a command prints. Its `Serialize` is the JSON that scripts rely on.
pub trait Report: Serialize {
    /// The same for people.
    fn table(&self) -> Table;
    /// The names alone, one a line; empty where nothing has a name.
    fn names(&self) -> Vec<String>;
}

/// Rows under headings.
#[derive(Clone, Debug, Default)]
pub struct Table {
    headings: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Starts a table. A heading that begins with `>` is a column of numbers: aligned right.
    #[must_use]
    pub fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings
                .iter()
                .map(|heading| heading.strip_prefix('>').unwrap_or(heading))
                .collect(),
            right: headings.iter().map(|h| h.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; its cells stand under the headings in order.
    pub fn row<I, S>(&mut self, cells: I)
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The text, with a line break at its end; no colours, so that it may be piped.
    #[must_use]
    pub fn render(&self) -> String {
        let headings: Vec<String> = self.headings.iter().map(|h| h.to_uppercase()).collect();
        let mut widths: Vec<usize> = headings.iter().map(|h| h.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                let _ = match right {
                    true => write!(line, "{cell:>width$}{GAP}"),
                    false => write!(line, "{cell:<width$}{GAP}"),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

impl Format {
    /// The report as text in this format, with a line break at its end.
    ///
    /// # Errors
    /// When the report cannot be written as JSON (a bug of ours).
    pub fn render<R: Report>(self, report: &R) -> CliResult<String> {
        match self {
            Self::Table => Ok(report.table().render()),
            Self::Json => {
                let mut text = serde_json::to_string_pretty(report)
                    .map_err(|error| CliError::Failed(format!("cannot write JSON: {error}")))?;
                text.push('\n');
                Ok(text)
            }
            Self::Name => {
                let mut text = String::new();
                for name in report.names() {
                    let _ = writeln!(text, "{name}");
                }
                Ok(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Lag {
        group: &'static str,
        lag_records: u64,
    }

    #[derive(Serialize)]
    #[serde(transparent)]
    struct Lags(Vec<Lag>);

    impl Report for Lags {
        fn table(&self) -> Table {
            let mut table = Table::new(&["group", ">lag"]);
            for lag in &self.0 {
                table.row([lag.group.to_owned(), lag.lag_records.to_string()]);
            }
            table
        }

        fn names(&self) -> Vec<String> {
            self.0.iter().map(|lag| lag.group.to_owned()).collect()
        }
    }

    fn lags() -> Lags {
        Lags(vec![
            Lag {
                group: "fast",
                lag_records: 0,
            },
            Lag {
                group: "slow",
                lag_records: 12_000,
            },
        ])
    }

    #[test]
    fn a_table_aligns_numbers_to_the_right_and_has_no_frame() {
        let text = Format::Table.render(&lags()).unwrap();
        assert_eq!(text, "GROUP     LAG\nfast        0\nslow    12000\n");
    }

    #[test]
    fn json_keeps_its_keys_and_names_are_one_a_line() {
        let json = Format::Json.render(&lags()).unwrap();
        assert!(json.contains("\"lag_records\": 12000"), "{json}");
        assert_eq!(Format::Name.render(&lags()).unwrap(), "fast\nslow\n");
    }
}

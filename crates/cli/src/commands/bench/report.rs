//! The figures of a run for people.

use levada_load::Figures;

use crate::output::{Report, Table};
use crate::units::{show_bytes, show_count};

impl Report for Figures {
    fn table(&self) -> Table {
        let mut table = Table::new(&["figure", ">value"]);
        let us = |value: f64| format!("{value:.1} µs");
        table.row(["records", &show_count(self.records)]);
        table.row(["records/s", &show_count(self.records_per_s as u64)]);
        table.row(["MB/s", &format!("{:.2}", self.mb_per_s)]);
        table.row(["on the wire", &show_bytes(self.wire_bytes)]);
        table.row(["seconds", &format!("{:.3}", self.seconds)]);
        table.row(["p50", &us(self.p50_us)]);
        table.row(["p99", &us(self.p99_us)]);
        table.row(["p99.9", &us(self.p999_us)]);
        table.row(["max", &us(self.max_us)]);
        table.row(["errors", &self.errors.to_string()]);
        table.row(["verified", if self.verified { "yes" } else { "NO" }]);
        table
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

//! What the demo found, for people and as JSON.

use serde::Serialize;

use super::readers::CarrierDelay;
use super::replay::Replayed;
use super::{FAST_GROUP, SLOW_GROUP};
use crate::output::{Report, Table};
use crate::units::show_count;

/// The JSON's keys are stable.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub records: u64,
    pub bytes: u64,
    pub seconds: f64,
    pub records_per_s: f64,
    pub mb_per_s: f64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub lag: Vec<GroupLag>,
    pub carriers: Vec<CarrierDelay>,
}

/// How far a group is behind, by its committed offsets.
#[derive(Clone, Debug, Serialize)]
pub struct GroupLag {
    pub group: &'static str,
    pub lag_records: u64,
}

impl Figures {
    pub fn new(replayed: &Replayed, lag: Vec<GroupLag>, mut carriers: Vec<CarrierDelay>) -> Self {
        carriers.sort_by(|a, b| {
            let (a, b) = (
                a.average_departure_delay_minutes,
                b.average_departure_delay_minutes,
            );
            b.total_cmp(&a)
        });
        // A run of a few records can be over before the clock moves.
        let seconds = replayed.took.as_secs_f64().max(1e-6);
        Self {
            records: replayed.records,
            bytes: replayed.bytes,
            seconds,
            records_per_s: replayed.records as f64 / seconds,
            mb_per_s: replayed.bytes as f64 / 1e6 / seconds,
            p50_us: replayed.latency_us.value_at_quantile(0.5),
            p99_us: replayed.latency_us.value_at_quantile(0.99),
            lag,
            carriers,
        }
    }

    /// For people: the delays, then the figures as the last lines.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if !self.carriers.is_empty() {
            text.push_str(&format!(
                "Departure delay by carrier, from group {FAST_GROUP}\n"
            ));
            text.push_str(&self.table().render());
            text.push('\n');
        }
        let mut figures = vec![
            (
                "records",
                format!("{} in {:.1} s", show_count(self.records), self.seconds),
            ),
            (
                "throughput",
                format!(
                    "{} records/s, {:.1} MB/s",
                    show_count(self.records_per_s as u64),
                    self.mb_per_s
                ),
            ),
            (
                "produce latency",
                format!(
                    "p50 {:.1} ms, p99 {:.1} ms, from send to acknowledgement",
                    self.p50_us as f64 / 1e3,
                    self.p99_us as f64 / 1e3
                ),
            ),
        ];
        for lag in &self.lag {
            let note = match lag.group {
                SLOW_GROUP => " (on purpose)",
                _ => "",
            };
            figures.push((
                "lag",
                format!(
                    "{}: {} records{note}",
                    lag.group,
                    show_count(lag.lag_records)
                ),
            ));
        }
        for (name, figure) in figures {
            text.push_str(&format!("{name:<17}{figure}\n"));
        }
        text
    }
}

impl Report for Figures {
    fn table(&self) -> Table {
        let mut table = Table::new(&[
            "carrier",
            "name",
            ">flights",
            ">cancelled",
            ">average minutes",
        ]);
        for carrier in &self.carriers {
            table.row([
                carrier.carrier.clone(),
                carrier.name.clone(),
                show_count(carrier.flights),
                show_count(carrier.cancelled),
                format!("{:.1}", carrier.average_departure_delay_minutes),
            ]);
        }
        table
    }

    fn names(&self) -> Vec<String> {
        self.carriers.iter().map(|c| c.carrier.clone()).collect()
    }
}

//! What a run has measured: medians, ratios, and whether a figure is reached.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::measure::Samples;
use super::rows::{Against, Goal, Metric, ROWS, Row};
use super::systems::{Role, System};

/// Everything that a page tells.
pub struct Results {
    pub command: String,
    pub rounds: u32,
    /// Names and numbers of the machine.
    pub machine: Vec<(&'static str, String)>,
    /// What `levada-floor limits` printed, one of each round.
    pub limits: BTreeMap<String, Vec<f64>>,
    pub systems: Vec<&'static System>,
    /// Systems, or rows of theirs, that could not be measured, and why.
    pub missing: Vec<(String, String)>,
    /// By row and system.
    pub samples: BTreeMap<(&'static str, &'static str), Samples>,
}

/// How a figure stands to its goal.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub actual: f64,
    pub wanted: f64,
    /// The name of what it was held against, when that was measured and not given.
    pub against: Option<&'static str>,
    pub is_reached: bool,
}

impl Standing {
    /// How many times it is too much, or too little; below 1 when it is reached.
    pub fn distance(&self, is_less_better: bool) -> f64 {
        match is_less_better {
            true => self.actual / self.wanted,
            false => self.wanted / self.actual,
        }
    }
}

impl Results {
    /// The median over the rounds; None when it was not measured.
    pub fn of(&self, row: &Row, system: &System, metric: &Metric) -> Option<f64> {
        median(self.samples.get(&(row.key, system.key))?.get(metric.key)?)
    }

    /// Levada's.
    pub fn levada(&self, row: &Row, metric: &Metric) -> Option<f64> {
        let levada = self
            .systems
            .iter()
            .find(|system| system.role == Role::Levada)?;
        self.of(row, levada, metric)
    }

    /// The best figure among the systems that are chosen, and whose it is.
    pub fn best(
        &self,
        row: &Row,
        metric: &Metric,
        chosen: impl Fn(&System) -> bool,
    ) -> Option<(f64, &'static System)> {
        let systems = self.systems.iter().filter(|system| chosen(system));
        let figures = systems.filter_map(|system| Some((self.of(row, system, metric)?, *system)));
        let goodness = |figure: f64| {
            if metric.is_less_better {
                -figure
            } else {
                figure
            }
        };
        figures.max_by(|(one, _), (other, _)| goodness(*one).total_cmp(&goodness(*other)))
    }

    /// The better of the floors.
    pub fn floor(&self, row: &Row, metric: &Metric) -> Option<f64> {
        let best = self.best(row, metric, |system| system.role == Role::Floor);
        best.map(|(figure, _)| figure)
    }

    /// Where Levada stands; None when a side of it was not measured.
    pub fn standing(&self, row: &Row, goal: &Goal) -> Option<Standing> {
        let actual = self.levada(row, goal.metric)?;
        let chosen = |system: &System| match goal.against {
            Against::Value | Against::Limit(_) => false,
            Against::Floor => system.role == Role::Floor,
            Against::System(key) => system.key == key,
            Against::SyncedPeers => system.role == Role::Peer && system.is_synced,
        };
        let (base, against) = match goal.against {
            Against::Value => (1.0, None),
            Against::Limit(name) => (median(self.limits.get(name)?)?, Some("the machine")),
            _ => {
                let (base, system) = self.best(row, goal.metric, chosen)?;
                (base, Some(system.name))
            }
        };
        if base <= 0.0 {
            // Below what the kernel counts in: a short run.
            return None;
        }
        let wanted = base * goal.factor;
        let is_reached = match goal.metric.is_less_better {
            true => actual <= wanted,
            false => actual >= wanted,
        };
        Some(Standing {
            actual,
            wanted,
            against,
            is_reached,
        })
    }

    /// The median share of the machine that neither server nor generator used, % of a core.
    pub fn others(&self) -> Option<f64> {
        let all = self
            .samples
            .values()
            .filter_map(|samples| samples.get("others_cpu_percent"));
        median(&all.flatten().copied().collect::<Vec<f64>>())
    }

    /// All of it, samples too.
    pub fn json(&self) -> Value {
        let rows = ROWS.iter().map(|row| {
            let systems = self.systems.iter().filter_map(|system| {
                let samples = self.samples.get(&(row.key, system.key))?;
                let medians: BTreeMap<&str, f64> = samples
                    .iter()
                    .filter_map(|(key, values)| Some((*key, median(values)?)))
                    .collect();
                Some(json!({ "system": system.key, "medians": medians, "samples": samples }))
            });
            let goals = row.goals.iter().map(|goal| {
                let standing = self.standing(row, goal);
                json!({
                    "metric": goal.metric.key,
                    "words": goal.words,
                    "actual": standing.as_ref().map(|standing| standing.actual),
                    "wanted": standing.as_ref().map(|standing| standing.wanted),
                    "reached": standing.as_ref().map(|standing| standing.is_reached),
                })
            });
            json!({
                "row": row.key,
                "title": row.title,
                "systems": systems.collect::<Vec<Value>>(),
                "goals": goals.collect::<Vec<Value>>(),
            })
        });
        let systems = self.systems.iter().map(|system| {
            json!({
                "key": system.key,
                "name": system.name,
                "synced": system.is_synced,
                "divisor": system.divisor,
                "note": system.note,
            })
        });
        json!({
            "command": self.command,
            "rounds": self.rounds,
            "machine": self.machine.iter().cloned().collect::<BTreeMap<&str, String>>(),
            "limits": self.limits,
            "systems": systems.collect::<Vec<Value>>(),
            "missing": self.missing,
            "rows": rows.collect::<Vec<Value>>(),
        })
    }
}

/// The middle one, or the mean of the two in the middle; None of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut values: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// A figure for people: three digits, or whole numbers with commas.
pub fn show(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 1000.0 => {
            let digits = format!("{value:.0}");
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .filter_map(|group| std::str::from_utf8(group).ok())
                .collect();
            groups.join(",")
        }
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::{CPU_PER_GB, RECORDS};
    use super::super::systems::SYSTEMS;
    use super::*;

    fn results(figures: &[(&'static str, &'static str, f64)]) -> Results {
        let mut samples: BTreeMap<_, Samples> = BTreeMap::new();
        for (system, metric, value) in figures {
            let found = samples.entry(("produce-1k", *system)).or_default();
            found.insert(*metric, vec![*value]);
        }
        Results {
            command: String::new(),
            rounds: 1,
            machine: Vec::new(),
            limits: BTreeMap::new(),
            systems: SYSTEMS.iter().collect(),
            missing: Vec::new(),
            samples,
        }
    }

    #[test]
    fn a_figure_is_held_against_the_better_floor_and_against_kafka() {
        let row = ROWS
            .iter()
            .find(|row| row.key == "produce-1k")
            .expect("it is there");
        let found = results(&[
            ("levada", "cpu_s_per_gb", 1.5),
            ("floor-direct", "cpu_s_per_gb", 1.1),
            ("floor-buffered", "cpu_s_per_gb", 1.0),
            ("levada", "records_per_s", 400.0),
            ("kafka", "records_per_s", 150.0),
        ]);
        let standing = |metric: &Metric, against| {
            let mut goals = row.goals.iter();
            let goal = goals.find(|goal| *goal.metric == *metric && goal.against == against)?;
            found.standing(row, goal)
        };
        let floor = standing(&CPU_PER_GB, Against::Floor).expect("both sides are there");
        assert!(
            (floor.wanted - 1.3).abs() < 1e-9 && !floor.is_reached,
            "{floor:?}"
        );
        assert!((floor.distance(true) - 1.5 / 1.3).abs() < 1e-9);
        let kafka = standing(&RECORDS, Against::System("kafka")).expect("both are there");
        assert!(
            kafka.is_reached && kafka.against == Some("Apache Kafka"),
            "{kafka:?}"
        );
        assert_eq!(standing(&RECORDS, Against::Floor), None);
    }

    #[test]
    fn the_median_leaves_out_what_is_no_number() {
        assert_eq!(median(&[3.0, f64::NAN, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[f64::NAN]), None);
    }

    #[test]
    fn figures_are_shown_in_three_digits() {
        let shown = [1_234_567.8, 123.4, 12.34, 1.234].map(|value| show(Some(value)));
        assert_eq!(shown, ["1,234,568", "123", "12.3", "1.23"]);
        assert_eq!(show(None), "–");
    }
}

//! Producers at a fixed rate, watched slice by slice while other work goes on beside them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, anyhow};
use serde_json::{Map, Value, json};

use super::Options;
use crate::scale::driver::{Driver, median, number};

/// Connections of the producers, each with a partition of its own.
const PRODUCERS: &str = "4";
/// A slice is long enough for a p99 and short enough that several fit beside a backfill.
const SLICE_S: u64 = 5;
const SLICES_MIN: usize = 6;
/// A work that has nothing to tell after so many will never have.
const SLICES_MAX: usize = 120;
const QUICK_SLICE_S: u64 = 1;
const QUICK_SLICES_MIN: usize = 2;

/// What goes on beside the producers.
pub trait Work: Sync {
    fn name(&self) -> &'static str;

    /// Works until `over` is set, and tells what was done.
    ///
    /// # Errors
    /// When something was wrong; the whole measurement is then.
    fn run(&self, over: &AtomicBool) -> Result<Value>;

    /// Whether it has been at work for long enough to tell something; slices go on until then.
    fn is_enough(&self) -> bool {
        true
    }
}

/// Measures the producers in slices while the works go on. Latencies count from the time at which
/// a record is due, so that no slice hides a wait.
///
/// # Errors
/// When an answer was wrong, or a work failed or ended by itself.
pub fn watch(driver: &Driver, options: &Options, works: &[&dyn Work]) -> Result<Value> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = &over;
        let running: Vec<_> = works
            .iter()
            .map(|work| (work.name(), scope.spawn(move || work.run(over))))
            .collect();
        let mut slices = Vec::new();
        let outcome = loop {
            // One that has ended has failed: its error comes with the others.
            let has_failed = running.iter().any(|(_, thread)| thread.is_finished());
            let is_enough = slices.len() >= slices_min(options);
            if has_failed || (is_enough && works.iter().all(|work| work.is_enough())) {
                break Ok(());
            }
            if slices.len() >= SLICES_MAX {
                let late = works.iter().find(|work| !work.is_enough());
                let name = late.map_or("", |work| work.name());
                break Err(anyhow!(
                    "the {name} beside it has not done what it is there for"
                ));
            }
            match slice(driver, options) {
                Ok(figures) => slices.push(figures),
                Err(error) => break Err(error),
            }
        };
        over.store(true, Ordering::Relaxed);
        let mut done = Map::new();
        for (name, thread) in running {
            let told = thread.join().map_err(|_| anyhow!("{name} panicked"))??;
            done.insert(name.to_owned(), told);
        }
        outcome?;
        Ok(figures(&slices, done))
    })
}

fn slices_min(options: &Options) -> usize {
    match options.quick {
        true => QUICK_SLICES_MIN,
        false => SLICES_MIN,
    }
}

fn slice(driver: &Driver, options: &Options) -> Result<Value> {
    let seconds = if options.quick {
        QUICK_SLICE_S
    } else {
        SLICE_S
    };
    let (rate, count) = (
        options.rate.to_string(),
        (options.rate * seconds).to_string(),
    );
    driver.bench(&[
        "produce",
        "--topic",
        "watched",
        "--connections",
        PRODUCERS,
        "--batch",
        "1",
        // So many that a wait of the broker keeps none from being sent when it is due.
        "--in-flight",
        "1024",
        "--rate",
        &rate,
        "--count",
        &count,
    ])
}

/// Medians over the slices, the worst one, and each.
fn figures(slices: &[Value], done: Map<String, Value>) -> Value {
    let of = |key: &str| -> Vec<f64> { slices.iter().map(|slice| number(slice, key)).collect() };
    json!({
        "p50_us": median(of("p50_us")),
        "p99_us": median(of("p99_us")),
        "p99_worst_us": of("p99_us").into_iter().fold(0.0, f64::max),
        "max_us": of("max_us").into_iter().fold(0.0, f64::max),
        "records_per_s": median(of("records_per_s")),
        "p99_us_of_slices": of("p99_us"),
        "beside": done,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_told_by_their_median_and_their_worst() {
        let slices = [10.0, 90.0, 20.0].map(|p99| json!({ "p99_us": p99, "max_us": p99 * 2.0 }));
        let told = figures(&slices, Map::new());
        assert_eq!(number(&told, "p99_us"), 20.0);
        assert_eq!(number(&told, "p99_worst_us"), 90.0);
        assert_eq!(number(&told, "max_us"), 180.0);
    }
}

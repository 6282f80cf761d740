//! What grows with backlogs and with the number of queues, on Levada alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::systems::{System, levada, named};
use super::{cpu_us, load, number};
use crate::bench::measure::{idle_mib, spent_on};
use crate::broker::Broker;
use crate::process;

/// Figures by their names in the JSON.
pub type Figures = BTreeMap<&'static str, f64>;

/// How much of everything.
struct Sizes {
    backlog: u64,
    backlog_small: u64,
    cycled: u64,
    fifo: u64,
    fifo_cycled: u64,
    groups: u64,
    queues: u64,
}

const WHOLE: Sizes = Sizes {
    backlog: 10_000_000,
    backlog_small: 1000,
    cycled: 100_000,
    fifo: 1_000_000,
    fifo_cycled: 50_000,
    groups: 10_000,
    queues: 1_000_000,
};
const QUICK: Sizes = Sizes {
    backlog: 100_000,
    backlog_small: 1000,
    cycled: 10_000,
    fifo: 10_000,
    fifo_cycled: 5000,
    groups: 1000,
    queues: 5000,
};
/// Freed memory is given back to the system by and by.
const SETTLE: Duration = Duration::from_secs(2);
/// Before memory is compared, caches are as full as they get.
const WARM_MESSAGES: u64 = 2_000_000;

/// Measures all of it.
///
/// # Errors
/// When Levada does not start or an answer was wrong.
pub fn run(folder: &Path, quick: bool, figures: &mut Figures) -> Result<()> {
    let sizes = if quick { QUICK } else { WHOLE };
    let system = named("levada").context("Levada is a system")?;
    let node = Node { system, folder };
    node.backlog(&sizes, figures).context("backlog")?;
    node.fifo(&sizes, figures).context("FIFO backlog")?;
    node.queues(&sizes, figures).context("many queues")
}

struct Node<'a> {
    system: &'static System,
    folder: &'a Path,
}

impl Node<'_> {
    fn fresh(&self) -> Result<Broker> {
        fs::remove_dir_all(self.folder).ok();
        process::command("sync").status()?;
        levada(self.folder)
    }

    fn load(&self, server: &Broker, words: &str) -> Result<serde_json::Value> {
        println!("levada-peers queue sqs {words}");
        let words: Vec<&str> = words.split(' ').collect();
        load(self.system, &server.address, &words)
    }

    /// The same cycle over a small and a large backlog.
    fn backlog(&self, sizes: &Sizes, figures: &mut Figures) -> Result<()> {
        let server = self.fresh()?;
        let warm = (sizes.backlog / 5).min(WARM_MESSAGES);
        self.load(&server, &format!("send --queue warm --count {warm}"))?;
        self.load(&server, &format!("receive --queue warm --count {warm}"))?;
        for (queue, backlog, keys) in [
            ("small", sizes.backlog_small, SMALL),
            ("large", sizes.backlog, LARGE),
        ] {
            std::thread::sleep(SETTLE);
            let before = idle_mib(&server)?;
            let sent = self.load(&server, &format!("send --queue {queue} --count {backlog}"))?;
            std::thread::sleep(SETTLE);
            figures.insert(keys.memory, idle_mib(&server)? - before);
            figures.insert(keys.sent, number(&sent, "records_per_s"));
            let words = format!(
                "cycle --queue {queue} --count {} --backlog {backlog}",
                sizes.cycled
            );
            let (cycled, spent) = spent_on(&server, || self.load(&server, &words))?;
            figures.insert(keys.receive, number(&cycled, "receive_p50_us"));
            figures.insert(keys.rate, number(&cycled, "records_per_s"));
            figures.insert(keys.cpu, cpu_us(&cycled, &spent));
        }
        Ok(())
    }

    /// Cycles over an empty FIFO queue and over one with a backlog.
    fn fifo(&self, sizes: &Sizes, figures: &mut Figures) -> Result<()> {
        let server = self.fresh()?;
        let (groups, count) = (sizes.groups, sizes.fifo_cycled);
        let cycle = |queue: &str, backlog: u64| {
            self.load(
                &server,
                &format!(
                    "cycle --queue {queue} --groups {groups} --count {count} --backlog {backlog}"
                ),
            )
        };
        let empty = cycle("empty", 0)?;
        figures.insert("fifo_empty_per_s", number(&empty, "records_per_s"));
        figures.insert(
            "fifo_empty_receive_p50_us",
            number(&empty, "receive_p50_us"),
        );
        let words = format!("send --queue full --groups {groups} --count {}", sizes.fifo);
        let sent = self.load(&server, &words)?;
        figures.insert("fifo_sent_per_s", number(&sent, "records_per_s"));
        let full = cycle("full", sizes.fifo)?;
        figures.insert("fifo_backlog_per_s", number(&full, "records_per_s"));
        figures.insert(
            "fifo_backlog_receive_p50_us",
            number(&full, "receive_p50_us"),
        );
        figures.insert("fifo_memory_mib", idle_mib(&server)?);
        Ok(())
    }

    /// Many queues, one of a hundred in use, killed and started again.
    fn queues(&self, sizes: &Sizes, figures: &mut Figures) -> Result<()> {
        let server = self.fresh()?;
        let count = sizes.queues;
        let words = format!("create --queue many --count {count} --connections 64");
        let created = self.load(&server, &words)?;
        figures.insert("queues", count as f64);
        figures.insert("queues_created_per_s", number(&created, "records_per_s"));
        std::thread::sleep(SETTLE);
        figures.insert("queues_idle_mib", idle_mib(&server)?);
        let touched = self.load(&server, &format!("touch --queue many --count {count}"))?;
        figures.insert("queues_touched_per_s", number(&touched, "records_per_s"));
        std::thread::sleep(SETTLE);
        figures.insert("queues_active_mib", idle_mib(&server)?);
        drop(server);
        let started = Instant::now();
        let server = levada(self.folder)?;
        figures.insert("queues_restart_ms", started.elapsed().as_secs_f64() * 1e3);
        let first = self.load(
            &server,
            "send --queue first --count 1 --batch 1 --connections 1",
        )?;
        figures.insert(
            "queues_restart_send_ms",
            started.elapsed().as_secs_f64() * 1e3,
        );
        figures.insert("queues_first_send_us", number(&first, "p50_us"));
        std::thread::sleep(SETTLE);
        figures.insert("queues_restarted_mib", idle_mib(&server)?);
        Ok(())
    }
}

struct Keys {
    memory: &'static str,
    sent: &'static str,
    receive: &'static str,
    rate: &'static str,
    cpu: &'static str,
}

const SMALL: Keys = Keys {
    memory: "small_backlog_mib",
    sent: "small_sent_per_s",
    receive: "small_receive_p50_us",
    rate: "small_cycles_per_s",
    cpu: "small_cpu_us",
};
const LARGE: Keys = Keys {
    memory: "large_backlog_mib",
    sent: "large_sent_per_s",
    receive: "large_receive_p50_us",
    rate: "large_cycles_per_s",
    cpu: "large_cpu_us",
};

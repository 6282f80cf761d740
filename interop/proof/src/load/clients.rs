//! Real clients under load, each in a process that lives through all kills. What they print:
//! `ACK PARTITION OFFSET VALUE`, `READ PARTITION OFFSET VALUE`, `COMMIT GROUP PARTITION OFFSET`,
//! `VIOLATION TEXT`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Shape;
use super::ledger::{Ledger, Mark};

/// Partitions of the clients' topic.
pub const PARTITIONS: i32 = 4;
/// The clients' start is not part of a round: a JVM takes its time.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(40);

pub struct Clients {
    children: Vec<Child>,
    /// How many have been promised something.
    busy: Arc<AtomicU32>,
}

impl Clients {
    /// Starts each program; it gets the broker's address and the topic. What it says on stderr goes
    /// into `folder`.
    pub fn start(
        shape: &Shape,
        folder: &Path,
        address: &str,
        topic: &str,
        ledger: &Arc<Ledger>,
    ) -> Result<Clients> {
        let busy = Arc::new(AtomicU32::new(0));
        let mut clients = Clients {
            children: Vec::new(),
            busy,
        };
        for (index, line) in shape.clients.iter().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (program, arguments) = words.split_first().context("an empty client")?;
            let errors = std::fs::File::create(folder.join(format!("client-{index}.log")))?;
            let mut command = Command::new(program);
            if shape.session_timeout_ms > 0 {
                command.env("SESSION_TIMEOUT_MS", shape.session_timeout_ms.to_string());
            }
            let mut child = command
                .args(arguments)
                .args([address, topic])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(errors)
                .spawn()
                .with_context(|| format!("cannot start {line}"))?;
            if let Some(output) = child.stdout.take() {
                let (ledger, topic) = (Arc::clone(ledger), topic.to_owned());
                let busy = Arc::clone(&clients.busy);
                thread::spawn(move || {
                    for (count, text) in BufReader::new(output)
                        .lines()
                        .map_while(Result::ok)
                        .enumerate()
                    {
                        if count == 0 {
                            busy.fetch_add(1, Ordering::Relaxed);
                        }
                        take(&text, &topic, &ledger);
                    }
                });
            }
            clients.children.push(child);
        }
        Ok(clients)
    }

    /// Waits until every client has been promised something.
    pub fn wait_until_busy(&self, ledger: &Ledger) {
        let started = Instant::now();
        while (self.busy.load(Ordering::Relaxed) as usize) < self.children.len() {
            if started.elapsed() > BUSY_WAIT_MAX {
                ledger.violation(format!("not every client works after {BUSY_WAIT_MAX:?}"));
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn take(line: &str, topic: &str, ledger: &Ledger) {
    let words: Vec<&str> = line.split(' ').collect();
    let place = |partition: &str| Some((topic.to_owned(), partition.parse().ok()?));
    let record = |partition, offset: &str, value: &str| {
        Some((
            place(partition)?,
            offset.parse().ok()?,
            Mark::read(value.as_bytes())?,
        ))
    };
    let understood = match words.as_slice() {
        ["ACK", partition, offset, value] => record(partition, offset, value)
            .map(|(place, offset, mark)| ledger.acknowledge(&place, offset, &mark)),
        ["READ", partition, offset, value] => record(partition, offset, value)
            .map(|(place, offset, mark)| ledger.see(&place, offset, &mark)),
        ["COMMIT", group, partition, offset] => place(partition)
            .zip(offset.parse().ok())
            .map(|(place, offset)| ledger.commit(group, &place, offset)),
        _ => None,
    };
    if understood.is_none() {
        ledger.violation(format!("a client says: {line}"));
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

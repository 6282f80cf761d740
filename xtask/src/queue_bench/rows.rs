//! What is measured on every system, and the figures to reach.

/// A row of the page: one load.
pub struct Row {
    pub key: &'static str,
    pub title: &'static str,
    kind: &'static str,
    queue: &'static str,
    count: u64,
    more: &'static [&'static str],
    /// Columns: key of the figure and title.
    pub shown: &'static [(&'static str, &'static str)],
}

const QUICK_DIVISOR: u64 = 30;
/// A load at a rate is as long as it has messages.
const QUICK_RATE_DIVISOR: u64 = 5;
const COUNT_MIN: u64 = 100;

const RATE: (&str, &str) = ("records_per_s", "messages/s");
const CPU: (&str, &str) = ("cpu_us_per_message", "server CPU, µs a message");
const MEMORY: (&str, &str) = ("memory_high_mib", "memory at its highest, MiB");
const FLUSHES: (&str, &str) = ("flushes_per_s", "disk flushes/s");
const SEND: [(&str, &str); 2] = [("send_p50_us", "send p50 µs"), ("send_p99_us", "p99 µs")];
const RECEIVE: [(&str, &str); 2] = [
    ("receive_p50_us", "receive p50 µs"),
    ("receive_p99_us", "p99 µs"),
];
const DELETE: [(&str, &str); 2] = [
    ("acknowledge_p50_us", "delete p50 µs"),
    ("acknowledge_p99_us", "p99 µs"),
];

/// Every row, in the order in which a server meets them.
pub static ROWS: &[Row] = &[
    Row {
        key: "send",
        title: "Send, batches of ten",
        kind: "send",
        queue: "sent",
        count: 600_000,
        more: &[],
        shown: &[RATE, SEND[0], SEND[1], CPU, MEMORY, FLUSHES],
    },
    Row {
        key: "receive",
        title: "Receive and delete that backlog, batches of ten",
        kind: "receive",
        queue: "sent",
        count: 600_000,
        more: &[],
        shown: &[
            RATE, RECEIVE[0], RECEIVE[1], DELETE[0], DELETE[1], CPU, MEMORY, FLUSHES,
        ],
    },
    Row {
        key: "cycle",
        title: "Send, receive, delete, over and over, batches of ten",
        kind: "cycle",
        queue: "cycled",
        count: 300_000,
        more: &[],
        shown: &[RATE, SEND[0], RECEIVE[0], DELETE[0], CPU, MEMORY, FLUSHES],
    },
    Row {
        key: "paced",
        title: "Send single messages, 500 a second",
        kind: "send",
        queue: "paced",
        count: 5000,
        more: &["--batch", "1", "--rate", "500"],
        shown: &[SEND[0], SEND[1], CPU, MEMORY, FLUSHES],
    },
];

impl Row {
    /// Arguments of the load generator, for a system that gets so many times fewer messages.
    pub fn arguments(&self, divisor: u64, quick: bool) -> Vec<String> {
        let is_paced = self.more.contains(&"--rate");
        let divisor = match (is_paced, quick) {
            (true, true) => QUICK_RATE_DIVISOR,
            (true, false) => 1,
            (false, true) => divisor * QUICK_DIVISOR,
            (false, false) => divisor,
        };
        let count = (self.count / divisor).max(COUNT_MIN).to_string();
        let words = [self.kind, "--queue", self.queue, "--count", &count];
        let words = words.iter().chain(self.more);
        words.map(|word| (*word).to_owned()).collect()
    }

    /// As a person would type it.
    pub fn command(&self) -> String {
        format!(
            "levada-peers queue sqs {}",
            self.arguments(1, false).join(" ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_keeps_its_rate_and_has_fewer_messages() {
        let words = |key: &str| {
            let row = ROWS.iter().find(|row| row.key == key);
            row.map_or(String::new(), |row| row.arguments(2, true).join(" "))
        };
        assert_eq!(words("send"), "send --queue sent --count 10000");
        assert_eq!(
            words("paced"),
            "send --queue paced --count 1000 --batch 1 --rate 500"
        );
    }
}

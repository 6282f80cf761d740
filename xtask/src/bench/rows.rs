//! What is measured, as data: each row of the page with its load, what of it is shown, and the
//! figures to reach.

use super::loads::{Driver, Kind, Load};

/// A figure of a row and what is good in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in the JSON; the unit comes last.
    pub key: &'static str,
    pub title: &'static str,
    pub is_less_better: bool,
}

const fn metric(key: &'static str, title: &'static str, is_less_better: bool) -> Metric {
    Metric {
        key,
        title,
        is_less_better,
    }
}

pub static RECORDS: Metric = metric("records_per_s", "records/s", false);
pub static MEGABYTES: Metric = metric("mb_per_s", "MB/s", false);
pub static P50: Metric = metric("p50_us", "p50 µs", true);
pub static P99: Metric = metric("p99_us", "p99 µs", true);
pub static CPU_PER_GB: Metric = metric("cpu_s_per_gb", "server CPU, s per GB", true);
pub static CPU_PERCENT: Metric = metric("cpu_percent", "server CPU, % of a core", true);
pub static MEMORY: Metric = metric("memory_high_mib", "memory at its highest, MiB", true);
pub static WRITTEN: Metric = metric("written_per_byte", "bytes written per byte", true);
pub static FLUSHES: Metric = metric("flushes_per_s", "disk flushes/s", true);
pub static DEVICE: Metric = metric("device_read_per_byte", "bytes from the disk per byte", true);
pub static START: Metric = metric("start_to_first_ack_ms", "start to first ack, ms", true);
pub static IDLE: Metric = metric("idle_mib", "memory then, MiB", true);

/// What a figure is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Against {
    Value,
    Floor,
    System(&'static str),
    /// The best of the peers that sync before they acknowledge.
    SyncedPeers,
    /// What the machine itself can do, by its name among the limits of the run.
    Limit(&'static str),
}

/// A figure to reach: at most (or at least) `factor` times what it is held against.
pub struct Goal {
    pub metric: &'static Metric,
    pub factor: f64,
    pub against: Against,
    pub words: &'static str,
}

const fn goal(metric: &'static Metric, factor: f64, against: Against, words: &'static str) -> Goal {
    Goal {
        metric,
        factor,
        against,
        words,
    }
}

/// A section of the page.
pub struct Row {
    pub key: &'static str,
    pub title: &'static str,
    /// What has to lie in the server before, not measured.
    pub before: Option<Load>,
    /// What is measured; None for a server at rest.
    pub load: Option<Load>,
    /// It runs on Levada alone, restarted between `before` and `load` and without the page cache.
    pub is_cold: bool,
    pub shown: &'static [&'static Metric],
    /// What the plot shows.
    pub drawn: &'static [&'static Metric],
    pub goals: &'static [Goal],
}

const THROUGHPUT: &[&Metric] = &[
    &RECORDS,
    &MEGABYTES,
    &P50,
    &P99,
    &CPU_PER_GB,
    &MEMORY,
    &WRITTEN,
    &FLUSHES,
];

/// The system that Kafka's figures are taken from: as it is by default.
pub const KAFKA: &str = "kafka";

/// Every row, in the order in which a server meets them.
pub static ROWS: &[Row] = &[
    Row {
        key: "rest",
        title: "At rest: an empty server",
        before: None,
        load: None,
        is_cold: false,
        shown: &[&START, &IDLE],
        drawn: &[&START, &IDLE],
        goals: &[
            goal(&START, 25.0, Against::Value, "under 25 ms"),
            // 20 MB
            goal(&IDLE, 20e6 / 1_048_576.0, Against::Value, "under 20 MB"),
        ],
    },
    Row {
        key: "produce-1k",
        title: "Produce, 1 KiB records in 64 KiB batches",
        before: None,
        load: Some(Load::new(Kind::Produce, 1024, 400_000)),
        is_cold: false,
        shown: THROUGHPUT,
        drawn: &[&RECORDS, &CPU_PER_GB],
        goals: &[
            goal(
                &CPU_PER_GB,
                1.3,
                Against::Floor,
                "at most 1.3 times the floor",
            ),
            goal(
                &CPU_PER_GB,
                1.0 / 3.0,
                Against::System(KAFKA),
                "a third of Kafka's",
            ),
            goal(&RECORDS, 0.8, Against::Floor, "at least 80% of the floor's"),
            goal(
                &RECORDS,
                2.0,
                Against::System(KAFKA),
                "twice Kafka's, which does not sync",
            ),
        ],
    },
    Row {
        key: "produce-100",
        title: "Produce, 100 B records in 64 KiB batches",
        before: None,
        load: Some(Load::new(Kind::Produce, 100, 4_000_000)),
        is_cold: false,
        shown: THROUGHPUT,
        drawn: &[&RECORDS, &CPU_PER_GB],
        goals: &[goal(
            &RECORDS,
            3.5e6,
            Against::Value,
            "at least 3.5 million records/s",
        )],
    },
    Row {
        key: "consume-1k",
        title: "Consume, 1 KiB records",
        before: Some(Load::new(Kind::Produce, 1024, 400_000)),
        load: Some(Load::new(Kind::Consume, 1024, 400_000)),
        is_cold: false,
        shown: CONSUME_SHOWN,
        drawn: &[&RECORDS, &CPU_PER_GB],
        goals: &[goal(
            &CPU_PER_GB,
            1.4,
            Against::Floor,
            "at most 1.4 times the floor",
        )],
    },
    Row {
        key: "one-record",
        title: "One 100 B record a request, 64 in flight",
        before: None,
        load: Some(Load {
            batch: Some(1),
            in_flight: Some(64),
            ..Load::new(Kind::Produce, 100, 100_000)
        }),
        is_cold: false,
        shown: &[
            &RECORDS,
            &P50,
            &P99,
            &CPU_PERCENT,
            &MEMORY,
            &WRITTEN,
            &FLUSHES,
        ],
        drawn: &[&RECORDS, &P99],
        goals: &[goal(
            &RECORDS,
            70_000.0,
            Against::Value,
            "at least 70,000 acks/s",
        )],
    },
    Row {
        key: "latency",
        title: "End to end at 1,000 records/s, 100 B",
        before: None,
        load: Some(Load {
            rate: Some(1000),
            ..Load::new(Kind::Latency, 100, 10_000)
        }),
        is_cold: false,
        shown: &[&P50, &P99, &CPU_PERCENT, &MEMORY, &FLUSHES],
        drawn: &[&P50, &P99, &CPU_PERCENT],
        goals: &[
            goal(&P50, 1.4, Against::Floor, "p50 at most 1.4 times the floor"),
            goal(
                &P99,
                1.25,
                Against::Floor,
                "p99 at most 1.25 times the floor",
            ),
            goal(
                &P50,
                1.0,
                Against::SyncedPeers,
                "p50 below every peer that syncs",
            ),
            goal(
                &P99,
                1.0,
                Against::SyncedPeers,
                "p99 below every peer that syncs",
            ),
            goal(&CPU_PERCENT, 15.0, Against::Value, "under 15% of a core"),
        ],
    },
    cold_row(
        "cold-read-1k",
        "Cold read of one partition among 1,000 interleaved, 1 KiB batches",
        1,
    ),
    cold_row(
        "cold-read-16k",
        "Cold read of one partition among 1,000 interleaved, 16 KiB batches",
        16,
    ),
    cold_row(
        "cold-read-64k",
        "Cold read of one partition among 1,000 interleaved, 64 KiB batches",
        63,
    ),
    produce_row(
        "librdkafka-produce",
        "Produce with librdkafka, 1 KiB records, its default settings and acks=all",
        Driver::Librdkafka,
    ),
    paced_row(
        "librdkafka-paced",
        "Produce with librdkafka at 1,000 records/s, 100 B, linger.ms=0",
        Driver::Librdkafka,
    ),
    consume_row(
        "librdkafka-consume",
        "Consume with librdkafka, 1 KiB records",
        Driver::Librdkafka,
    ),
    produce_row(
        "java-produce",
        "Produce with the Java client, 1 KiB records, its default settings and acks=all",
        Driver::Java,
    ),
    paced_row(
        "java-paced",
        "Produce with the Java client at 1,000 records/s, 100 B, linger.ms=0",
        Driver::Java,
    ),
    consume_row(
        "java-consume",
        "Consume with the Java client, 1 KiB records",
        Driver::Java,
    ),
];

const fn client_row(
    key: &'static str,
    title: &'static str,
    before: Option<Load>,
    load: Load,
    shown: &'static [&'static Metric],
    drawn: &'static [&'static Metric],
) -> Row {
    Row {
        key,
        title,
        before,
        load: Some(load),
        is_cold: false,
        shown,
        drawn,
        goals: &[],
    }
}

/// Enough that a virtual machine's start is a small part.
const CLIENT_RECORDS: u64 = 1_000_000;

const fn produce_row(key: &'static str, title: &'static str, driver: Driver) -> Row {
    let load = Load {
        driver,
        ..Load::new(Kind::Produce, 1024, CLIENT_RECORDS)
    };
    client_row(key, title, None, load, THROUGHPUT, CLIENT_DRAWN)
}

const fn paced_row(key: &'static str, title: &'static str, driver: Driver) -> Row {
    let load = Load {
        driver,
        rate: Some(1000),
        ..Load::new(Kind::Produce, 100, 10_000)
    };
    client_row(key, title, None, load, PACED_SHOWN, PACED_DRAWN)
}

const fn consume_row(key: &'static str, title: &'static str, driver: Driver) -> Row {
    let before = Some(Load::new(Kind::Produce, 1024, CLIENT_RECORDS));
    let load = Load {
        driver,
        ..Load::new(Kind::Consume, 1024, CLIENT_RECORDS)
    };
    client_row(key, title, before, load, CONSUME_SHOWN, CLIENT_DRAWN)
}

const CLIENT_DRAWN: &[&Metric] = &[&RECORDS, &CPU_PER_GB];
const CONSUME_SHOWN: &[&Metric] = &[&RECORDS, &MEGABYTES, &CPU_PER_GB, &MEMORY];
const PACED_SHOWN: &[&Metric] = &[&RECORDS, &P50, &P99, &CPU_PERCENT, &FLUSHES];
const PACED_DRAWN: &[&Metric] = &[&P50, &P99];

/// 1 GiB over a thousand partitions, a batch to each in turn by one connection, so that they lie
/// evenly mixed; then some are read, each by itself. How large the batches are decides how far a
/// partition is scattered.
const fn cold_row(key: &'static str, title: &'static str, batch: u32) -> Row {
    Row {
        key,
        title,
        before: Some(Load {
            batch: Some(batch),
            in_flight: Some(64),
            partitions: Some(COLD_PARTITIONS),
            ..Load::new(Kind::Produce, 1024, 1_048_576)
        }),
        load: Some(Load {
            partition: Some(COLD_PARTITIONS / 2),
            ..Load::new(Kind::Consume, 1024, 1_048_576 / COLD_PARTITIONS as u64)
        }),
        is_cold: true,
        shown: COLD_SHOWN,
        drawn: COLD_DRAWN,
        goals: COLD_GOALS,
    }
}

pub const COLD_PARTITIONS: u32 = 1000;
/// The disk's sequential read of the same files, among the limits.
pub const COLD_LIMIT: &str = "cold_sequential_read_mb_per_s";
const COLD_SHOWN: &[&Metric] = &[&MEGABYTES, &P50, &DEVICE];
const COLD_DRAWN: &[&Metric] = &[&MEGABYTES];
const COLD_GOALS: &[Goal] = &[goal(
    &MEGABYTES,
    0.4,
    Against::Limit(COLD_LIMIT),
    "at least 40% of the disk's sequential read",
)];

/// Rows of the issue that nothing measures yet, and why.
pub static OPEN_ROWS: &[(&str, &str)] = &[
    (
        "1 KiB batches spread over 100,000 partitions, 64 connections",
        "measured by `cargo xtask scale`, which writes a page of its own",
    ),
    (
        "10,000 streams: memory, restart; 1,000,000 partitions: memory, restart to first ack",
        "measured by `cargo xtask scale`, which writes a page of its own",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_keeps_its_rate_and_has_fewer_records() {
        let row = |key| {
            ROWS.iter()
                .find(|row| row.key == key)
                .and_then(|row| row.load)
        };
        let produce = row("produce-1k").map(|load| load.shortened(true, 4).count);
        assert_eq!(produce, Some(10_000));
        let latency = row("latency").map(|load| load.shortened(true, 4).arguments());
        assert_eq!(
            latency.unwrap_or_default().join(" "),
            "latency --size 100 --count 2000 --rate 1000"
        );
    }
}

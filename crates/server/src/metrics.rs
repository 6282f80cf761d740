//! What every part of the process counts, gathered for `/metrics`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use levada_engine::Engine;
use levada_env::Env;
use levada_http::{Collect, Labels, Page, Registry};
use levada_kafka::{
    Clients, KafkaListener, KafkaMetrics, LATENCY_BOUNDS_US, MetricsSnapshot as KafkaTotals,
};
use levada_sqs::{SqsListener, SqsMetrics};
use levada_wal::{SYNC_CLASSES_US, Wal};

/// Everything that there is to collect.
pub(crate) fn registry(
    env: &Env,
    wal: &Wal,
    engine: &Engine,
    (kafka, sqs): (Option<&KafkaListener>, Option<&SqsListener>),
) -> Registry {
    let mut collectors: Vec<Box<dyn Collect>> = vec![
        Box::new(Process { env: env.clone() }),
        Box::new(Log(wal.clone())),
        Box::new(Core(engine.clone())),
    ];
    if let Some(kafka) = kafka {
        collectors.push(Box::new(Front {
            metrics: kafka.metrics(),
            clients: kafka.clients(),
        }));
    }
    if let Some(sqs) = sqs {
        collectors.push(Box::new(Queues(sqs.metrics())));
    }
    Registry::new(collectors)
}

/// The process as the system sees it.
struct Process {
    env: Env,
}

impl Process {
    /// The process's memory in pages, from `/proc`; nothing on systems without it.
    fn resident_bytes(&self) -> Option<u64> {
        let text = self
            .env
            .fs()
            .read(&PathBuf::from("/proc/self/statm"))
            .ok()?;
        let text = String::from_utf8(text).ok()?;
        let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    }

    fn open_files(&self) -> Option<u64> {
        let names = self
            .env
            .fs()
            .read_dir(&PathBuf::from("/proc/self/fd"))
            .ok()?;
        Some(names.len() as u64)
    }
}

impl Collect for Process {
    fn collect(&self, page: &mut Page<'_>) -> fmt::Result {
        let version: Labels<'_> = &[("version", crate::VERSION)];
        page.gauges("levada_build_info", "The version that runs", [(version, 1)])?;
        let up = self.env.monotonic().as_secs();
        page.gauge("levada_uptime_seconds", "Time since the start", up)?;
        if let Some(bytes) = self.resident_bytes() {
            page.gauge(
                "levada_resident_memory_bytes",
                "Memory of the process",
                bytes,
            )?;
        }
        if let Some(files) = self.open_files() {
            page.gauge("levada_open_files", "Open files and sockets", files)?;
        }
        Ok(())
    }
}

struct Log(Wal);

impl Log {
    fn counts(&self, page: &mut Page<'_>) -> fmt::Result {
        let log = self.0.metrics();
        let counters = [
            (
                "levada_wal_groups",
                "Groups written, one sync each",
                &log.groups,
            ),
            ("levada_wal_frames", "Frames appended", &log.frames),
            (
                "levada_wal_appended_bytes",
                "Payload appended",
                &log.appended_bytes,
            ),
            (
                "levada_wal_written_bytes",
                "Bytes written to log files",
                &log.written_bytes,
            ),
            (
                "levada_wal_zeroed_bytes",
                "Zeros written to prepare files",
                &log.zeroed_bytes,
            ),
            (
                "levada_wal_disk_full",
                "Times the disk was found full",
                &log.full_events,
            ),
            (
                "levada_wal_files_deleted",
                "Log files deleted",
                &log.files_deleted,
            ),
            (
                "levada_damage_frames",
                "Data frames that the start found damaged",
                &log.frames_damaged,
            ),
            (
                "levada_damage_commands_mended",
                "Damaged commands that the start read from their copies",
                &log.commands_mended,
            ),
            (
                "levada_damage_tails_quarantined",
                "Ends of the log that the start put into quarantine",
                &log.tails_quarantined,
            ),
        ];
        for (name, help, counter) in counters {
            page.counter(name, help, counter.load(Relaxed))?;
        }
        Ok(())
    }
}

impl Collect for Log {
    fn collect(&self, page: &mut Page<'_>) -> fmt::Result {
        self.counts(page)?;
        let log = self.0.metrics();
        let mut buckets = Vec::with_capacity(log.sync_classes.len());
        for (index, class) in log.sync_classes.iter().enumerate() {
            buckets.push((bound_seconds(&SYNC_CLASSES_US, index), class.load(Relaxed)));
        }
        let sum = log.sync_nanos_total.load(Relaxed) as f64 / 1e9;
        page.histogram(
            "levada_wal_sync_seconds",
            "How long a sync took",
            sum,
            &buckets,
        )?;
        let files = self.0.files();
        let bytes = files.iter().map(|file| file.bytes).sum();
        page.gauge("levada_wal_files", "Log files", files.len() as u64)?;
        page.gauge("levada_wal_size_bytes", "Size of all log files", bytes)?;
        page.gauge(
            "levada_wal_full",
            "1 while the disk is full and producers are refused",
            u64::from(self.0.is_full()),
        )
    }
}

/// The upper bound of a class in seconds; the class beyond the last has none.
fn bound_seconds(bounds_us: &[u64], index: usize) -> f64 {
    bounds_us
        .get(index)
        .map_or(f64::INFINITY, |bound| *bound as f64 / 1e6)
}

struct Core(Engine);

impl Core {
    fn counts(&self, page: &mut Page<'_>) -> fmt::Result {
        let totals = self.0.metrics().snapshot();
        let counters = [
            (
                "levada_records_in",
                "Records acknowledged",
                totals.records_in,
            ),
            (
                "levada_batches_in",
                "Batches acknowledged",
                totals.batches_in,
            ),
            (
                "levada_batches_in_bytes",
                "Bytes of batches acknowledged",
                totals.bytes_in,
            ),
            (
                "levada_batches_duplicate",
                "Batches that were retries",
                totals.batches_duplicate,
            ),
            (
                "levada_batches_refused",
                "Batches refused",
                totals.batches_refused,
            ),
            (
                "levada_batches_out_bytes",
                "Bytes handed to readers",
                totals.bytes_out,
            ),
            (
                "levada_tail_cache_out_bytes",
                "Bytes of those from memory",
                totals.bytes_out_tail,
            ),
            (
                "levada_journal_reads",
                "Reads of the log by readers",
                totals.journal_reads,
            ),
            (
                "levada_rewritten_bytes",
                "Bytes rewritten to give space back",
                totals.bytes_rewritten,
            ),
            ("levada_segments", "Segments committed", totals.segments),
            (
                "levada_segments_released",
                "Segments given back",
                totals.segments_released,
            ),
            (
                "levada_retention_moves",
                "Log starts moved by retention",
                totals.retention_moves,
            ),
            (
                "levada_damage_places_read",
                "Damaged places that readers met",
                totals.places_damaged,
            ),
            (
                "levada_queue_messages_damaged",
                "Messages of queues that receivers passed over because they cannot be read",
                totals.messages_stepped_over,
            ),
        ];
        for (name, help, value) in counters {
            page.counter(name, help, value)?;
        }
        Ok(())
    }
}

impl Collect for Core {
    fn collect(&self, page: &mut Page<'_>) -> fmt::Result {
        self.counts(page)?;
        let sizes = self.0.sizes();
        let groups = self.0.groups().sizes();
        let gauges = [
            ("levada_topics", "Topics", sizes.topics as u64),
            ("levada_partitions", "Partitions", sizes.partitions),
            (
                "levada_tail_cache_bytes",
                "Newest records in memory",
                sizes.tail_cache_bytes as u64,
            ),
            (
                "levada_in_flight_bytes",
                "Records not yet acknowledged",
                sizes.in_flight_bytes as u64,
            ),
            ("levada_groups", "Consumer groups", groups.groups as u64),
            (
                "levada_groups_waiting",
                "Members that wait for a rebalance",
                groups.waiting as u64,
            ),
        ];
        for (name, help, value) in gauges {
            page.gauge(name, help, value)?;
        }
        Ok(())
    }
}

struct Front {
    metrics: Arc<KafkaMetrics>,
    clients: Arc<Clients>,
}

impl Front {
    fn connections(&self, page: &mut Page<'_>, totals: &KafkaTotals) -> fmt::Result {
        let open = self.clients.count() as u64;
        page.gauge("levada_kafka_connections_open", "Open connections", open)?;
        let counters = [
            (
                "levada_kafka_connections",
                "Connections accepted",
                totals.connections,
            ),
            (
                "levada_kafka_connections_refused",
                "Connections closed for what they sent",
                totals.connections_refused,
            ),
            ("levada_kafka_in_bytes", "Bytes received", totals.bytes_in),
            ("levada_kafka_out_bytes", "Bytes sent", totals.bytes_out),
        ];
        for (name, help, value) in counters {
            page.counter(name, help, value)?;
        }
        Ok(())
    }
}

/// The SQS listener.
struct Queues(Arc<SqsMetrics>);

impl Collect for Queues {
    fn collect(&self, page: &mut Page<'_>) -> fmt::Result {
        let totals = self.0.snapshot();
        let name = "levada_sqs_connections";
        page.counter(name, "Connections accepted", totals.connections)?;
        page.gauge(
            "levada_sqs_requests_open",
            "Requests that wait",
            totals.open,
        )?;
        let help = "Requests refused before their action was known";
        page.counter("levada_sqs_refused", help, totals.refused)?;
        let labels: Vec<[(&str, &str); 1]> =
            (totals.actions.iter().map(|of| [("action", of.action)])).collect();
        let all = || labels.iter().zip(&totals.actions);
        let requests = all().map(|(labels, of)| (&labels[..], of.requests));
        page.counters("levada_sqs_requests", "Requests answered", requests)?;
        let errors = all().map(|(labels, of)| (&labels[..], of.errors));
        page.counters("levada_sqs_errors", "Requests refused", errors)
    }
}

impl Collect for Front {
    fn collect(&self, page: &mut Page<'_>) -> fmt::Result {
        let totals = self.metrics.snapshot();
        self.connections(page, &totals)?;
        let labels: Vec<[(&str, &str); 1]> =
            totals.apis.iter().map(|api| [("api", api.api)]).collect();
        let of = |value: fn(&levada_kafka::ApiSnapshot) -> u64| {
            let apis = labels.iter().zip(&totals.apis);
            apis.map(move |(labels, api)| (&labels[..], value(api)))
                .collect::<Vec<_>>()
        };
        page.counters(
            "levada_kafka_requests",
            "Requests answered",
            of(|api| api.requests),
        )?;
        page.counters(
            "levada_kafka_errors",
            "Error codes in answers",
            of(|api| api.errors),
        )?;
        let histograms = labels.iter().zip(&totals.apis).map(|(labels, api)| {
            let buckets: Vec<(f64, u64)> = api
                .latency
                .iter()
                .enumerate()
                .map(|(index, count)| (bound_seconds(&LATENCY_BOUNDS_US, index), *count))
                .collect();
            (&labels[..], api.latency_us_sum as f64 / 1e6, buckets)
        });
        page.histograms(
            "levada_kafka_request_seconds",
            "From the whole request to its answer, long polls included",
            histograms,
        )
    }
}

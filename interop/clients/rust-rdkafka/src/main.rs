//! rust-rdkafka against one broker: `levada-interop-rust-rdkafka BOOTSTRAP RUN_ID`.

mod checks;
mod kafka;

use std::time::Instant;

use kafka::Kafka;

type Failure = Box<dyn std::error::Error>;
type Body = fn(&Kafka) -> Result<(), Failure>;

const CHECKS: [(&str, Body); 19] = [
    ("connect", checks::connect),
    ("produce-consume", checks::produce_consume),
    ("group-consume", checks::group_consume),
    ("rebalance", checks::rebalance),
    ("admin", checks::admin),
    ("idempotence", checks::idempotence),
    ("compression-none", |kafka| {
        checks::compression(kafka, "none")
    }),
    ("compression-gzip", |kafka| {
        checks::compression(kafka, "gzip")
    }),
    ("compression-snappy", |kafka| {
        checks::compression(kafka, "snappy")
    }),
    ("compression-lz4", |kafka| checks::compression(kafka, "lz4")),
    ("compression-zstd", |kafka| {
        checks::compression(kafka, "zstd")
    }),
    ("headers", checks::headers),
    ("create-time", checks::create_time),
    ("append-time", checks::append_time),
    ("large-value", checks::large_value),
    ("empty-null-values", checks::empty_values),
    ("offsets-for-times", checks::offsets_for_times),
    ("static-membership", checks::static_membership),
    ("cooperative-sticky", checks::cooperative),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, run_id] = arguments.as_slice() else {
        eprintln!("usage: levada-interop-rust-rdkafka BOOTSTRAP RUN_ID");
        std::process::exit(2);
    };
    let kafka = Kafka::new(bootstrap, run_id);
    for (name, body) in CHECKS {
        let started = Instant::now();
        match body(&kafka) {
            Ok(()) => println!("CHECK {name} ok {:.1} s", started.elapsed().as_secs_f64()),
            Err(error) => println!("CHECK {name} FAIL {}", error.to_string().replace('\n', " ")),
        }
    }
}

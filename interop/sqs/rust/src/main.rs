//! The AWS SDK for Rust. It checks the digests of what it receives by itself.

mod checks;
mod errors;
mod run;

use run::{Sqs, check};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, endpoint, _, run_id] = &arguments[..] else {
        eprintln!("usage: {} ENDPOINT BOOTSTRAP RUN_ID", arguments[0]);
        std::process::exit(2);
    };
    let s = &Sqs::connect(endpoint, run_id);
    // At the same time: most of it is waiting.
    tokio::join!(
        check("queues", checks::queues(s)),
        check("round_trip", checks::round_trip(s)),
        check("batches", checks::batches(s)),
        check("limits", errors::limits(s)),
        check("visibility", checks::visibility(s)),
        check("long_polls", checks::long_polls(s)),
        check("delays", checks::delays(s)),
        check("fifo", checks::fifo(s)),
        check("dead_letters", checks::dead_letters(s)),
        check("purge", checks::purge(s)),
        check("tags", checks::tags(s)),
        check("errors", errors::errors(s)),
    );
}

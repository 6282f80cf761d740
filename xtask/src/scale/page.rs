//! `bench/SCALE.md` from the figures.

use serde_json::{Map, Value};

use super::driver::number;

/// Columns of the curve: title, key, digits behind the point.
const CURVE: [(&str, &str, usize); 14] = [
    ("topics", "topics", 0),
    ("partitions", "partitions", 0),
    ("partitions created/s", "partitions_created_per_s", 0),
    ("MB created", "created_mb", 1),
    ("MB 2 s later", "created_settled_mb", 1),
    ("restart to ack, ms", "idle_restart_ack_ms", 0),
    ("MB after it", "idle_restarted_mb", 1),
    ("batches/s over all", "batches_per_s", 0),
    ("MB all written", "written_mb", 1),
    ("at most", "written_max_mb", 1),
    ("restart to ack, ms", "restart_ack_ms", 0),
    ("MB after it", "restarted_mb", 1),
    ("Metadata of all, ms", "metadata_all_ms", 1),
    ("of one, p50 µs", "metadata_one_p50_us", 0),
];

/// The whole page.
pub fn render(all: &Map<String, Value>) -> String {
    let mut page = format!(
        "# Scale of one node\n\n\
         Made by `cargo xtask scale`; do not edit. One Levada, synced before every \
         acknowledgement, on a machine of {} cores that its clients share, and others too: hold \
         ratios against each other, not single figures. MB are 10^6 bytes of resident memory.\n",
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    if let Some(rows) = all.get("curve").and_then(Value::as_array) {
        page.push_str(
            "\n## The curve\n\nA fresh folder each: topics created, killed and started again, \
             one batch of 1 KiB written to each partition by 64 connections, Metadata, killed and \
             started again. A restart is told from the start of the process to the first record \
             acknowledged; the producer's own start is in it.\n\n",
        );
        curve(&mut page, rows);
    }
    if let Some(spread) = all.get("spread") {
        let (over_all, into_one) = (
            number(spread, "spread_batches_per_s"),
            number(spread, "one_batches_per_s"),
        );
        page.push_str(&format!(
            "\n## Spread against one partition\n\n1 KiB batches from 64 connections, in turns, \
             medians: over {} partitions {} batches/s, into one {} batches/s: {:.2}.\n",
            grouped(number(spread, "partitions"), 0),
            grouped(over_all, 0),
            grouped(into_one, 0),
            over_all / into_one
        ));
    }
    if let Some(pauses) = all.get("pauses") {
        self::pauses(&mut page, pauses);
    }
    if let Some(crowd) = all.get("crowd") {
        self::crowd(&mut page, crowd);
    }
    page
}

fn curve(page: &mut String, rows: &[Value]) {
    for (title, ..) in CURVE {
        page.push_str(&format!("| {title} "));
    }
    page.push_str("|\n");
    page.push_str(&"|--:".repeat(CURVE.len()));
    page.push_str("|\n");
    for row in rows {
        for (_, key, digits) in CURVE {
            page.push_str(&format!("| {} ", grouped(number(row, key), digits)));
        }
        page.push_str("|\n");
    }
}

fn pauses(page: &mut String, pauses: &Value) {
    page.push_str(&format!(
        "\n## A producer beside retention and snapshots\n\n1,000 records/s of 1 KiB on a topic of \
         its own, open loop, while {} other partitions, each with a batch, lie in the same node.\n\n\
         | meanwhile | p50 µs | p99 µs | p99.9 µs | max µs |\n|---|--:|--:|--:|--:|\n",
        grouped(number(pauses, "partitions"), 0)
    ));
    let kinds = [
        "quiet",
        "retention walks",
        "snapshots",
        "retention deletes all",
    ];
    for kind in kinds {
        if let Some(row) = pauses.get(kind) {
            let cell = |key| grouped(number(row, key), 0);
            page.push_str(&format!(
                "| {kind} | {} | {} | {} | {} |\n",
                cell("p50_us"),
                cell("p99_us"),
                cell("p999_us"),
                cell("max_us")
            ));
        }
    }
}

fn crowd(page: &mut String, crowd: &Value) {
    if let Some(row) = crowd.get("connections") {
        page.push_str(&format!(
            "\n## Connections\n\n{} open and idle: {} MB, {} without them, {} bytes each; opened at \
             {}/s. A producer of 1,000 records/s beside them: p99 {} µs. The limits: \
             `kafka.connections_max` (20,000), and the open files that the system allows.\n",
            grouped(number(row, "connections"), 0),
            grouped(number(row, "with_all_mb"), 1),
            grouped(number(row, "before_mb"), 1),
            grouped(number(row, "bytes_each"), 0),
            grouped(number(row, "opened_per_s"), 0),
            grouped(number(row, "produce_p99_us_beside"), 0),
        ));
    }
    if let Some(row) = crowd.get("groups") {
        page.push_str(&format!(
            "\n## Consumer groups\n\n{} groups, one committed offset each: {} MB, {} without them, \
             {} bytes each; committed at {}/s. Restart to first acknowledgement: {} ms, {} MB \
             then.\n",
            grouped(number(row, "groups"), 0),
            grouped(number(row, "with_all_mb"), 1),
            grouped(number(row, "before_mb"), 1),
            grouped(number(row, "bytes_each"), 0),
            grouped(number(row, "committed_per_s"), 0),
            grouped(number(row, "restart_ack_ms"), 0),
            grouped(number(row, "restarted_mb"), 1),
        ));
    }
}

/// A number with a comma between thousands.
fn grouped(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thousands_are_grouped_and_what_was_not_measured_is_told_as_such() {
        assert_eq!(grouped(1_234_567.0, 0), "1,234,567");
        assert_eq!(grouped(999.26, 1), "999.3");
        assert_eq!(grouped(-1234.0, 0), "-1,234");
        assert_eq!(grouped(f64::NAN, 0), "–");
    }

    #[test]
    fn the_page_tells_the_parts_that_were_run() {
        let mut all = Map::new();
        let spread = json!({"spread_batches_per_s": 10.0, "one_batches_per_s": 20.0});
        all.insert("spread".to_owned(), spread);
        let page = render(&all);
        assert!(page.contains("into one 20 batches/s: 0.50"), "{page}");
        assert!(!page.contains("## The curve"), "{page}");
    }
}

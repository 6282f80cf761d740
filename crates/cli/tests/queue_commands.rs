//! `levada queue`, end to end: the real binary against a real service.
#![allow(clippy::disallowed_methods)]

mod support;

use serde_json::json;
use support::{Server, command};

#[test]
fn a_message_is_sent_received_and_acknowledged() {
    let server = Server::start();
    let made = server.run(&[
        "queue",
        "create",
        "jobs",
        "--visibility",
        "60",
        "-o",
        "name",
    ]);
    assert_eq!(made.ok(), "jobs\n");
    assert_eq!(server.run(&["queue", "list", "-o", "name"]).ok(), "jobs\n");
    let sent = server.run(&[
        "queue",
        "send",
        "jobs",
        "one",
        "two",
        "-a",
        "colour=red",
        "-o",
        "json",
    ]);
    assert_eq!(sent.json().as_array().map(Vec::len), Some(2));
    server
        .run_with(&["queue", "send", "jobs"], b"three\nfour\n")
        .ok();

    let received = server
        .run(&["queue", "receive", "jobs", "-n", "4", "-o", "json"])
        .json();
    let bodies: Vec<_> = (0..4)
        .map(|at| received[at]["body"].as_str().unwrap())
        .collect();
    assert_eq!(bodies, ["one", "two", "three", "four"]);
    assert_eq!(received[0]["attributes"], json!({"colour": "red"}));
    assert_eq!(received[0]["receive_count"], 1);
    let told = server
        .run(&["queue", "describe", "jobs", "-o", "json"])
        .json();
    assert_eq!(
        (&told[0]["messages_visible"], &told[0]["messages_in_flight"]),
        (&json!(0), &json!(4))
    );
    assert_eq!(told[0]["attributes"]["VisibilityTimeout"], "60");

    let receipt = received[0]["receipt"].as_str().unwrap();
    server.run(&["queue", "ack", "jobs", receipt]).ok();
    let refused = server.run(&["queue", "ack", "jobs", "nonsense"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    let told = server
        .run(&["queue", "describe", "jobs", "-o", "json"])
        .json();
    assert_eq!(told[0]["messages_in_flight"], 3);
    server.run(&["queue", "purge", "jobs"]).ok();
    let table = server.run(&["queue", "describe", "jobs"]).ok();
    assert!(table.contains("VISIBLE"), "{table}");
    server.run(&["queue", "delete", "jobs"]).ok();
    let gone = server.run(&["queue", "describe", "jobs"]);
    assert_eq!(gone.code, 4, "{}", gone.stderr);
}

#[test]
fn receipts_go_through_a_pipe() {
    let server = Server::start();
    server.run(&["queue", "create", "jobs"]).ok();
    server.run_with(&["queue", "send", "jobs"], b"a\nb\n").ok();
    let receipts = server.run(&["queue", "receive", "jobs", "-o", "name"]).ok();
    assert_eq!(receipts.lines().count(), 2);
    server
        .run_with(&["queue", "ack", "jobs"], receipts.as_bytes())
        .ok();
    server.run(&["queue", "send", "jobs", "c"]).ok();
    let taken = server
        .run(&["queue", "receive", "jobs", "--ack", "-o", "json"])
        .json();
    assert_eq!(taken[0]["body"], "c");
    let told = server
        .run(&["queue", "describe", "jobs", "-o", "json"])
        .json();
    assert_eq!(
        (&told[0]["messages_visible"], &told[0]["messages_in_flight"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn dead_letters_are_moved_back() {
    let server = Server::start();
    server.run(&["queue", "create", "dead"]).ok();
    let create = [
        "queue",
        "create",
        "jobs",
        "--visibility",
        "0",
        "--dead-letter",
        "dead",
        "--attempts",
        "1",
    ];
    server.run(&create).ok();
    server.run(&["queue", "send", "jobs", "poison"]).ok();
    server.run(&["queue", "receive", "jobs"]).ok();
    server.run(&["queue", "receive", "jobs"]).ok();
    let described = server
        .run(&["queue", "describe", "jobs", "dead", "-o", "json"])
        .json();
    assert_eq!(described[1]["messages_visible"], 1);
    let sides = server
        .run(&["topic", "describe", "jobs", "dead", "-o", "json"])
        .json();
    assert_eq!(
        sides[0]["queue"],
        json!({"messages_visible": 0, "messages_in_flight": 0, "messages_delayed": 0,
            "dead_letters_to": {"queue": "dead", "after_receives": 1, "messages_visible": 1},
            "dead_letters_from": []})
    );
    assert_eq!(sides[1]["queue"]["dead_letters_from"], json!(["jobs"]));
    let text = server.run(&["topic", "describe", "jobs"]).ok();
    assert!(
        text.contains("Dead letters go to dead after 1 receives; it has 1 visible"),
        "{text}"
    );
    let moved = server
        .run(&["queue", "redrive", "dead", "-o", "json"])
        .json();
    assert_eq!(moved, json!({"queue": "dead", "messages_moved": 1}));
    let back = server
        .run(&["queue", "receive", "jobs", "-o", "json"])
        .json();
    assert_eq!(back[0]["body"], "poison");
}

#[test]
fn a_topic_that_is_no_queue_is_described_without_one_and_a_queue_without_its_listener() {
    let server = Server::start();
    server.run(&["topic", "create", "plain"]).ok();
    server
        .run(&["queue", "create", "jobs", "--tag", "team=a"])
        .ok();
    let plain = server.run(&["topic", "describe", "plain", "-o", "json"]);
    assert_eq!(plain.json()[0]["queue"], json!(null));
    let nobody = ["topic", "describe", "jobs", "--sqs", "127.0.0.1:1"];
    let described = server.run(&nobody);
    assert!(
        described
            .stderr
            .contains("jobs is a queue too, but no SQS listener"),
        "{}",
        described.stderr
    );
    assert!(described.ok().starts_with("Topic jobs"));
}

#[test]
fn what_is_refused_is_told_with_what_to_do() {
    let server = Server::start();
    server.run(&["queue", "create", "jobs"]).ok();
    server.run(&["queue", "create", "line.fifo"]).ok();
    let cases: [(&[&str], &str); 5] = [
        (&["send", "nope", "x"], "levada queue create nope"),
        (&["create", "x", "--dead-letter", "dead"], "no queue 'dead'"),
        (
            &["create", "jobs", "--delay", "5"],
            "levada topic alter jobs",
        ),
        (&["send", "line.fifo", "x"], "--group"),
        (
            &["send", "line.fifo", "x", "--group", "g"],
            "--deduplication-id",
        ),
    ];
    for (arguments, hint) in cases {
        let refused = server.run(&[&["queue"], arguments].concat());
        assert_eq!(refused.code, 4, "{arguments:?}: {}", refused.stderr);
        assert!(
            refused.stderr.contains(hint),
            "{arguments:?}: {}",
            refused.stderr
        );
    }
}

#[test]
fn a_service_that_is_not_there_is_told_with_what_to_do() {
    let ran = command(&["queue", "list", "--sqs", "127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(3));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(
        said.contains("levada serve") && said.contains("--sqs"),
        "{said}"
    );
}

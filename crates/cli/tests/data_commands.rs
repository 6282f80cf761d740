//! The data commands, end to end: the real binary against a real service.
#![allow(clippy::disallowed_methods)]

mod support;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};

use rustix::process::{Pid, Signal, kill_process};
use support::{Ran, Server, command};

#[test]
fn a_topic_is_created_described_altered_and_deleted() {
    let server = Server::start();
    server
        .run(&[
            "topic",
            "create",
            "orders",
            "-p",
            "3",
            "-c",
            "retention.ms=3600000",
        ])
        .ok();
    let again = server.run(&["topic", "create", "orders"]);
    assert_eq!(again.code, 4, "{}", again.stderr);
    server
        .run(&["topic", "create", "orders", "--if-not-exists"])
        .ok();
    assert_eq!(
        server.run(&["topic", "list", "-o", "name"]).ok(),
        "orders\n"
    );
    server
        .run(&[
            "topic",
            "alter",
            "orders",
            "-c",
            "retention.ms=7200000",
            "-p",
            "4",
        ])
        .ok();
    let described = server
        .run(&["topic", "describe", "orders", "-o", "json"])
        .json();
    assert_eq!(described[0]["partitions"].as_array().unwrap().len(), 4);
    let configs = described[0]["configs"].as_array().unwrap();
    let retention = configs
        .iter()
        .find(|config| config["name"] == "retention.ms")
        .unwrap();
    assert_eq!(retention["value"], "7200000");
    assert_eq!(retention["source"], "topic");
    server.run(&["topic", "delete", "orders"]).ok();
    let gone = server.run(&["topic", "describe", "orders"]);
    assert_eq!(gone.code, 4, "{}", gone.stderr);
    assert!(gone.stdout.is_empty());
    let unread = server.run(&["consume", "orders"]);
    assert_eq!(unread.code, 4, "{}", unread.stderr);
    assert!(unread.stderr.contains("topic list"), "{}", unread.stderr);
}

#[test]
fn lines_come_back_in_every_compression_with_keys_headers_and_nulls() {
    let server = Server::start();
    let input = "k1:one\nk2:\nno key\nk3:GONE\nk4:zwölf\n";
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("t-{compression}");
        server.run(&["topic", "create", &topic]).ok();
        let args = [
            "produce",
            &topic,
            "-s",
            ":",
            "-z",
            compression,
            "--null-value",
            "GONE",
            "-H",
            "h=v",
        ];
        server.run_with(&args, input.as_bytes()).ok();
        let read = server.run(&["consume", &topic, "-o", "json"]).ok();
        let records: Vec<serde_json::Value> = read
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let pairs: Vec<_> = records
            .iter()
            .map(|r| (r["key"].as_str(), r["value"].as_str()))
            .collect();
        let expected = [
            (Some("k1"), Some("one")),
            (Some("k2"), Some("")),
            (None, Some("no key")),
            (Some("k3"), None),
            (Some("k4"), Some("zwölf")),
        ];
        assert_eq!(pairs, expected, "{compression}");
        assert!(records.iter().all(|r| r["headers"][0]["key"] == "h"));
        assert_eq!(records[4]["offset"], 4);
    }
}

#[test]
fn places_by_offset_from_the_end_and_by_time_bound_what_is_read() {
    let server = Server::start();
    let lines: String = (1..=1000).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "{n}");
        text
    });
    server.run_with(&["produce", "n"], lines.as_bytes()).ok();
    let read = |args: &[&str]| server.run(&[&["consume", "n"], args].concat()).ok();
    assert_eq!(read(&[]), lines);
    assert_eq!(read(&["--from", "10", "--to", "13"]), "11\n12\n13\n");
    assert_eq!(read(&["--from", "-2"]), "999\n1000\n");
    assert_eq!(read(&["--from", "-1h", "-n", "1"]), "1\n");
    assert_eq!(read(&["--from", "now"]), "");
    assert_eq!(read(&["--to", "2020-01-01"]), "");
    assert_eq!(read(&["--grep", "99", "-n", "3"]), "99\n199\n299\n");
    assert_eq!(
        read(&["-n", "2", "-t", "{partition}/{offset}={value}"]),
        "0/0=1\n0/1=2\n"
    );
    let wrong = server.run(&["consume", "n", "--from", "tomorrow"]);
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
}

#[test]
fn places_outside_a_partition_are_told_and_the_used_offset_is_shown() {
    let server = Server::start();
    server.run_with(&["produce", "n"], b"1\n2\n3\n").ok();
    for (args, printed, told) in [
        (
            &["--from", "2", "--to", "9"][..],
            "3\n",
            "9 is outside, 3 is used",
        ),
        (&["--from", "7"], "", "7 is outside, 3 is used"),
        (
            &["--from", "2100-01-01"],
            "",
            "no record as new as 2100-01-01T00:00:00.000Z: its end, offset 3, is used",
        ),
    ] {
        let read = server.run(&[&["consume", "n"], args].concat());
        assert!(read.stderr.contains(told), "{args:?}: {}", read.stderr);
        assert_eq!(read.ok(), printed, "{args:?}");
    }
    let quiet = server.run(&["consume", "n", "--from", "0", "--to", "3"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
    for dry in [&["--dry-run"][..], &[]] {
        let seek = ["group", "seek", "g", "-t", "n", "--to", "50", "-o", "json"];
        let sought = server.run(&[&seek, dry].concat());
        assert!(
            sought.stderr.contains("50 is outside, 3 is used"),
            "{}",
            sought.stderr
        );
        assert_eq!(sought.json()["partitions"][0]["after_offset"], 3);
    }
    let described = server.run(&["group", "describe", "g", "-o", "json"]).json();
    assert_eq!(described[0]["partitions"][0]["committed_offset"], 3);
}

#[test]
fn a_file_and_large_values_are_written_whole() {
    let server = Server::start();
    let file = server.folder.path().join("input.bin");
    let large = "x".repeat(700_000) + "\nsecond line";
    std::fs::write(&file, &large).unwrap();
    server
        .run(&["produce", "files", "--whole", "-f", file.to_str().unwrap()])
        .ok();
    assert_eq!(server.run(&["consume", "files"]).ok(), large.clone() + "\n");
    server
        .run(&["produce", "lines", "-f", file.to_str().unwrap()])
        .ok();
    assert_eq!(server.run(&["consume", "lines"]).ok(), large + "\n");
}

#[test]
fn a_group_is_followed_moved_and_deleted() {
    let server = Server::start();
    server
        .run_with(&["produce", "t"], "1\n2\n3\n4\n5\n".as_bytes())
        .ok();
    assert_eq!(
        server.run(&["consume", "t", "-g", "g", "-n", "2"]).ok(),
        "1\n2\n"
    );
    let described = server.run(&["group", "describe", "g", "-o", "json"]).json();
    assert_eq!(described[0]["lag_records"], 3);
    assert!(described[0]["lag_seconds"].as_f64().unwrap() >= 0.0);
    assert_eq!(described[0]["partitions"][0]["committed_offset"], 2);
    let dry = server.run(&[
        "group",
        "seek",
        "g",
        "--to",
        "earliest",
        "--dry-run",
        "-o",
        "json",
    ]);
    let dry = dry.json();
    assert_eq!(dry["partitions"][0]["before_offset"], 2);
    assert_eq!(dry["partitions"][0]["after_offset"], 0);
    assert_eq!(server.run(&["consume", "t", "-g", "g"]).ok(), "3\n4\n5\n");
    server.run(&["group", "seek", "g", "--to", "-1"]).ok();
    assert_eq!(server.run(&["consume", "t", "-g", "g"]).ok(), "5\n");
    assert_eq!(server.run(&["group", "list", "-o", "name"]).ok(), "g\n");
    server.run(&["group", "delete", "g"]).ok();
    assert_eq!(server.run(&["group", "list", "-o", "name"]).ok(), "");
    assert_eq!(server.run(&["group", "describe", "g"]).code, 4);
}

#[test]
fn an_interrupted_member_commits_what_it_printed_and_leaves() {
    let server = Server::start();
    server
        .run_with(&["produce", "t"], "1\n2\n3\n".as_bytes())
        .ok();
    let mut follower = server.spawn(&["consume", "t", "-g", "g", "-f"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let seen: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
    assert_eq!(seen, ["1", "2", "3"]);
    let seek = ["group", "seek", "g", "--to", "earliest"];
    let busy = server.run(&seek);
    assert_eq!(busy.code, 4, "{}", busy.stderr);
    let dry = server.run(&[&seek[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 4, "a dry run promised what is refused");
    assert_eq!(dry.stderr, busy.stderr);
    kill_process(Pid::from_child(&follower), Signal::INT).unwrap();
    assert_eq!(follower.wait().unwrap().code(), Some(130));
    let described = server.run(&["group", "describe", "g", "-o", "json"]).json();
    assert_eq!(described[0]["lag_records"], 0);
    assert_eq!(described[0]["members"].as_array().unwrap().len(), 0);
}

#[test]
fn a_producer_rides_over_a_killed_broker_without_loss_or_repetition() {
    let mut server = Server::start();
    server.run(&["topic", "create", "t"]).ok();
    let mut producer = server.spawn(&["produce", "t"]);
    let mut stdin = producer.stdin.take().unwrap();
    let mut expected = String::new();
    let mut send = |range: std::ops::Range<u32>| {
        for n in range {
            let line = format!("record {n}\n");
            stdin.write_all(line.as_bytes()).unwrap();
            expected.push_str(&line);
        }
    };
    send(0..5_000);
    // Some are written before the kill, others under way.
    let follow = ["consume", "t", "--from", "earliest", "-f", "-n", "1"];
    assert_eq!(server.run(&follow).ok(), "record 0\n");
    send(5_000..20_000);
    server.kill_and_restart();
    send(20_000..25_000);
    drop(stdin);
    let produced = Ran::new(producer.wait_with_output().unwrap());
    assert_eq!(produced.code, 0, "{}", produced.stderr);
    assert!(
        server.run(&["consume", "t"]).ok() == expected,
        "records are lost, repeated or swapped"
    );
}

#[test]
fn bench_checks_what_it_does_and_prints_the_contracts_keys() {
    let server = Server::start();
    let produce = [
        "bench",
        "produce",
        "--topic",
        "b",
        "--size",
        "100",
        "--count",
        "5001",
        "--partitions",
        "3",
        "--connections",
        "2",
        "--in-flight",
        "3",
        "--batch",
        "20",
        "-o",
        "json",
    ];
    let consume = [
        "bench",
        "consume",
        "--topic",
        "b",
        "--connections",
        "2",
        "-o",
        "json",
    ];
    let latency = [
        "bench", "latency", "--topic", "l", "--rate", "500", "--count", "100", "--size", "50",
        "-o", "json",
    ];
    for (args, records) in [
        (&produce[..], 5001),
        (&consume[..], 5001),
        (&latency[..], 100),
    ] {
        let figures = server.run(args).json();
        for key in ["records_per_s", "mb_per_s", "p50_us", "p99_us", "p999_us"] {
            assert!(figures[key].as_f64().unwrap() > 0.0, "{key}: {figures}");
        }
        assert_eq!(figures["errors"], 0, "{figures}");
        assert_eq!(figures["verified"], true, "{figures}");
        assert_eq!(figures["records"], records, "{figures}");
    }
    let of = |partition: &str| {
        let words = ["bench", "consume", "--topic", "b", "-o", "json"].into_iter();
        let words: Vec<&str> = words.chain(["--partition", partition]).collect();
        server.run(&words).json()["records"].as_u64().unwrap()
    };
    let each = ["0", "1", "2"].map(of);
    assert!(each.iter().all(|records| *records > 0), "{each:?}");
    assert_eq!(each.iter().sum::<u64>(), 5001, "each partition by itself");
}

#[test]
fn doctor_finds_nothing_wrong_with_a_service_that_works() {
    let server = Server::start();
    let folder = server.folder.path().to_str().unwrap().to_owned();
    let found = server
        .run(&[
            "doctor", "--probe", "--data", &folder, "--fsync", "-o", "json",
        ])
        .json();
    let mut checks = found["checks"].as_array().unwrap().iter();
    let log = checks.find(|check| check["name"] == "log").unwrap();
    let in_use = log["found"].as_str().unwrap().contains("has the folder");
    assert!(in_use && log["status"] == "warn", "{log}");
    for name in ["connect", "versions", "metadata", "probe", "clock", "fsync"] {
        let checks = found["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name);
        assert_ne!(check.expect(name)["status"], "critical", "{found}");
    }
}

#[test]
fn no_broker_is_exit_code_three_and_says_what_to_do() {
    for args in [
        &["topic", "list"][..],
        &["consume", "t"],
        &["produce", "t", "-m", "x"],
        &["group", "list"],
        &["bench", "produce"],
        &["doctor"],
    ] {
        // Port 1 is nobody's.
        let ran = Ran::new(
            command(args)
                .args(["--broker", "127.0.0.1:1"])
                .output()
                .unwrap(),
        );
        assert_eq!(ran.code, 3, "{args:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("cannot reach 127.0.0.1:1"),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains("levada serve"), "{}", ran.stderr);
    }
}

#[test]
fn bench_scale_goes_over_all_topics_partitions_and_groups() {
    let server = Server::start();
    let scale = |what: &str, more: &[&str]| {
        let shape = ["--topics", "30", "--partitions", "4", "--connections", "3"];
        let words = ["bench", "scale", what, "-o", "json"].into_iter();
        let words: Vec<&str> = words.chain(shape).chain(more.iter().copied()).collect();
        server.run(&words).json()
    };
    for (what, more, done) in [
        ("create", &[][..], 30),
        ("produce", &[][..], 120),
        ("groups", &["--count", "50"][..], 50),
    ] {
        let figures = scale(what, more);
        assert_eq!(figures["records"], done, "{figures}");
        assert_eq!(figures["verified"], true, "{figures}");
    }
    let metadata = scale("metadata", &["--count", "10"]);
    assert_eq!(metadata["topics"], 30, "{metadata}");
    assert_eq!(metadata["partitions"], 120, "{metadata}");
    let groups = server.run(&["group", "list", "-o", "name"]).ok();
    assert_eq!(groups.lines().count(), 50, "{groups}");
    let again = server.run(&["bench", "scale", "create", "--topics", "1"]);
    assert_ne!(again.code, 0, "a topic that exists was created again");
    assert!(
        again.stderr.contains("TOPIC_ALREADY_EXISTS"),
        "{}",
        again.stderr
    );
}

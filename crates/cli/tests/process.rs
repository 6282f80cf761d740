//! The binary as a process: what scripts, service managers and orchestrators rely on.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The binary with an environment that no user's settings reach, on ports that the system picks.
fn levada(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_levada"));
    for (name, _) in std::env::vars() {
        if name.starts_with("LEVADA_") {
            command.env_remove(name);
        }
    }
    command
        .env("LEVADA_KAFKA_LISTEN", "127.0.0.1:0")
        .env("LEVADA_SQS_LISTEN", "127.0.0.1:0")
        .env("LEVADA_HTTP_LISTEN", "127.0.0.1:0")
        .args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    levada(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A process that is killed when the test ends.
struct Served {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    banner: String,
}

impl Served {
    /// Starts `levada serve` and waits until it says that it is ready.
    fn start(data: &Path, more: &[&str]) -> Self {
        let mut arguments = vec!["serve", "--data", data.to_str().unwrap()];
        arguments.extend(more);
        let mut child = levada(&arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut banner = String::new();
        while !banner.contains(" ready ") {
            let read = stderr.read_line(&mut banner).unwrap();
            assert!(read > 0, "it ended early: {banner}");
        }
        Self {
            child,
            stderr,
            banner,
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The exit code and the rest of stderr.
    fn wait(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ready(data: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(data.join("ready.json")).unwrap()).unwrap()
}

#[test]
fn ready_json_has_the_contracts_keys_and_goes_with_the_process() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), &[]);
    let ready = ready(data.path());
    let keys: Vec<&str> = ready
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut wanted = ["pid", "version", "kafka", "sqs", "http", "mqtt", "sql"];
    wanted.sort_unstable();
    let mut keys = keys;
    keys.sort_unstable();
    assert_eq!(keys, wanted);
    assert_eq!(ready["pid"], served.child.id());
    let sqs = ready["sqs"].as_str().unwrap();
    assert!(served.banner.contains(sqs), "{}", served.banner);
    let kafka = ready["kafka"].as_str().unwrap();
    assert!(served.banner.contains(kafka), "{}", served.banner);
    served.signal(Signal::TERM);
    let (code, log) = served.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(!data.path().join("ready.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn memory_comes_in_small_pages() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), &[]);
    let path = format!("/proc/{}/status", served.child.id());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with("THP_enabled"));
    assert_eq!(line, Some("THP_enabled:\t0"));
}

#[test]
fn a_second_serve_names_the_pid_that_holds_the_folder() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), &[]);
    let second = run(&["serve", "--data", data.path().to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    let pid = served.child.id().to_string();
    assert!(stderr(&second).contains(&pid), "{}", stderr(&second));
    assert_eq!(ready(data.path())["pid"], served.child.id());
}

#[test]
fn a_killed_service_starts_again_with_the_same_cluster_id() {
    let data = tempfile::tempdir().unwrap();
    let cluster = |banner: &str| {
        let (_, rest) = banner.split_once("cluster ").unwrap();
        rest.lines().next().unwrap().to_owned()
    };
    let first = Served::start(data.path(), &[]);
    let id = cluster(&first.banner);
    first.signal(Signal::KILL);
    first.wait();
    assert!(
        data.path().join("ready.json").exists(),
        "nothing removed it"
    );
    let second = Served::start(data.path(), &[]);
    assert_eq!(cluster(&second.banner), id);
    assert_eq!(ready(data.path())["pid"], second.child.id());
    second.signal(Signal::INT);
    assert_eq!(second.wait().0, Some(0));
}

#[test]
fn a_listener_that_is_off_is_null_in_ready_json() {
    let data = tempfile::tempdir().unwrap();
    let served = Served::start(data.path(), &["--http", "off"]);
    assert!(ready(data.path())["http"].is_null());
    assert!(served.banner.contains("HTTP    off"), "{}", served.banner);
}

#[test]
fn a_broker_that_is_the_http_listener_is_named_as_the_mistake() {
    let data = tempfile::tempdir().unwrap();
    let _served = Served::start(data.path(), &[]);
    let ready = ready(data.path());
    let http = ready["http"].as_str().unwrap();
    for command in [&["topic", "list"][..], &["doctor"]] {
        let ran = run(&[command, &["--broker", http]].concat());
        let said = stderr(&ran) + &String::from_utf8_lossy(&ran.stdout);
        assert_eq!(ran.status.code(), Some(3), "{said}");
        assert!(said.contains("it answers in HTTP"), "{said}");
        assert!(said.contains("--broker"), "{said}");
    }
}

#[test]
fn a_non_loopback_address_needs_insecure() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let refused = run(&["serve", "--data", data, "--kafka", "0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("--insecure"),
        "{}",
        stderr(&refused)
    );
    assert!(!Path::new(data).join("wal").exists(), "nothing was touched");
}

#[test]
fn settings_that_are_none_are_a_usage_error() {
    let refused = run(&["serve", "--kafka", "nowhere"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("host:port"),
        "{}",
        stderr(&refused)
    );
    let refused = run(&["serve", "--no-such-flag"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn config_shows_where_each_value_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("levada.toml");
    std::fs::write(
        &file,
        "[kafka]\nnum_partitions = 3\nlisten = \"127.0.0.1:1\"\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let shown = run(&[
        "config", "show", "-o", "json", "--config", file, "--http", "off",
    ]);
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let row = |name: &str| {
        let rows = shown.as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap().clone()
    };
    assert_eq!(row("kafka.num_partitions")["value"], 3);
    assert_eq!(
        row("kafka.num_partitions")["source"],
        format!("file {file}")
    );
    assert_eq!(
        row("kafka.listen")["source"],
        "environment LEVADA_KAFKA_LISTEN"
    );
    assert_eq!(row("http.listen")["source"], "flag --http");
    assert_eq!(run(&["config", "check", file]).status.code(), Some(0));
    std::fs::write(file, "[kafka]\nnum_partition = 3\n").unwrap();
    let checked = run(&["config", "check", file]);
    assert_eq!(checked.status.code(), Some(2));
    assert!(stderr(&checked).contains("did you mean kafka.num_partitions"));
}

#[test]
fn the_demo_ends_with_its_figures_and_runs_again_on_its_folder() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let arguments = ["demo", "--exit", "--records", "3000", "--data", data];
    let first = run(&arguments);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let text = String::from_utf8(first.stdout).unwrap();
    let last: Vec<&str> = text.lines().rev().take(5).collect();
    assert!(last[0].contains("archive"), "{text}");
    assert!(last[1].contains("delays: 0 records"), "{text}");
    assert!(last[2].starts_with("produce latency  p50"), "{text}");
    assert!(last[4].starts_with("records          3,000 in"), "{text}");
    let mut again = arguments.to_vec();
    again.extend(["-o", "json"]);
    let second = run(&again);
    assert_eq!(second.status.code(), Some(0), "{}", stderr(&second));
    let figures: serde_json::Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!(figures["records"], 3000);
    assert_eq!(figures["lag"][0]["lag_records"], 0);
    // The slow group's lag is of both runs.
    assert!(
        figures["lag"][1]["lag_records"].as_u64().unwrap() > 2000,
        "{figures}"
    );
}

#[test]
fn the_demo_takes_the_addresses_of_serve_and_says_what_to_do_when_one_is_taken() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let demo = ["demo", "--exit", "--records", "100", "--data", data];
    for flag in ["--kafka", "--sqs", "--http"] {
        for command in [&demo[..], &["serve", "--data", data]] {
            let refused = run(&[command, &[flag, &taken]].concat());
            let said = stderr(&refused);
            assert_eq!(refused.status.code(), Some(1), "{said}");
            assert!(said.contains(&taken), "{said}");
            assert!(said.contains(&format!("{flag} HOST:PORT")), "{said}");
        }
    }
    let ran = run(&[&demo[..], &["--http", "off"]].concat());
    assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
    assert!(stderr(&ran).contains("HTTP    off"), "{}", stderr(&ran));
}

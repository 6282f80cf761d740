//! Commands that go on while the broker goes away and comes back.
#![allow(clippy::disallowed_methods)]

mod support;

use std::io::Write;

use rustix::process::Signal;
use support::{Going, Server};

/// How often `said` says that it is trying again.
fn retries(said: &str) -> usize {
    said.matches("trying again").count()
}

#[test]
fn a_follower_goes_on_over_restarts_and_says_so_once_each() {
    let mut server = Server::start();
    server.run_with(&["produce", "t"], b"1\n2\n").ok();
    let args = ["consume", "t", "--from", "earliest", "-f"];
    let mut follower = Going::new(server.spawn(&args));
    assert_eq!(follower.lines(2), ["1", "2"]);
    for (round, line) in ["3", "4"].into_iter().enumerate() {
        server.kill();
        follower.wait_for("trying again until stopped");
        server.restart();
        server.run(&["produce", "t", "-m", line]).ok();
        assert_eq!(follower.lines(1), [line]);
        follower.wait_for("going on");
        assert_eq!(retries(&follower.said), round + 1, "{}", follower.said);
    }
    follower.signal(Signal::TERM);
    let (code, said) = follower.end();
    assert_eq!(code, 130, "{said}");
}

#[test]
fn a_member_goes_on_over_a_restart_without_loss_or_repetition_and_leaves_at_sigterm() {
    let mut server = Server::start();
    server.run_with(&["produce", "t"], b"1\n2\n3\n").ok();
    let mut member = Going::new(server.spawn(&["consume", "t", "-g", "g", "-f"]));
    assert_eq!(member.lines(3), ["1", "2", "3"]);
    server.kill();
    member.wait_for("trying again until stopped");
    server.restart();
    server.run_with(&["produce", "t"], b"4\n5\n").ok();
    assert_eq!(member.lines(2), ["4", "5"]);
    member.signal(Signal::TERM);
    let (code, said) = member.end();
    assert_eq!(code, 130, "{said}");
    assert_eq!(retries(&said), 1, "{said}");
    let described = server.run(&["group", "describe", "g", "-o", "json"]).json();
    assert_eq!(described[0]["lag_records"], 0, "{described}");
    let members = described[0]["members"].as_array().unwrap();
    assert!(members.is_empty(), "{described}");
}

#[test]
fn a_member_that_is_stopped_while_the_broker_is_away_ends_all_the_same() {
    let mut server = Server::start();
    server.run(&["produce", "t", "-m", "1"]).ok();
    let mut member = Going::new(server.spawn(&["consume", "t", "-g", "g", "-f"]));
    assert_eq!(member.lines(1), ["1"]);
    server.kill();
    member.wait_for("trying again");
    member.signal(Signal::TERM);
    let (code, said) = member.end();
    assert_eq!(code, 130, "{said}");
    assert!(said.contains("may come again"), "{said}");
}

#[test]
fn a_producer_says_why_it_waits_and_waits_for_as_long_as_it_is_told() {
    let mut server = Server::start();
    server.run(&["topic", "create", "t"]).ok();
    let mut patient = Going::new(server.spawn(&["produce", "t"]));
    let hasty = ["produce", "t", "--timeout", "700ms"];
    let mut hasty = Going::new(server.spawn(&hasty));
    for going in [&mut patient, &mut hasty] {
        let stdin = going.child.stdin.as_mut().unwrap();
        stdin.write_all(b"before\n").unwrap();
    }
    let follow = ["consume", "t", "--from", "earliest", "-f", "-n", "2"];
    assert_eq!(server.run(&follow).ok(), "before\nbefore\n");
    server.kill();
    for going in [&mut patient, &mut hasty] {
        let stdin = going.child.stdin.as_mut().unwrap();
        stdin.write_all(b"after\n").unwrap();
    }
    patient.wait_for("connection refused");
    assert!(patient.said.contains("trying again for 2m 0s"));
    let (code, said) = hasty.end();
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("trying again for 700 ms"), "{said}");
    assert!(said.contains("Not acknowledged: 1 record."), "{said}");
    server.restart();
    let (code, said) = patient.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(retries(&said), 1, "{said}");
    let read = server.run(&["consume", "t"]).ok();
    assert_eq!(read, "before\nbefore\nafter\n");
}

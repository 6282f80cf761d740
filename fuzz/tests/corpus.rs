//! Every target over its committed inputs and over what becomes of them with a few changes.
#![allow(clippy::disallowed_methods)]

use levada_fuzz::{TARGETS, corpus};
use levada_wire_kafka::sample::Source;

/// Changed inputs that a target is given, shared out over its committed ones.
const CHANGED: usize = 600;

/// A byte flipped, set, removed or doubled, the end cut off, or another input's end put on.
fn changed(source: &mut Source, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=source.below(3) {
        if bytes.is_empty() {
            bytes.push(0);
        }
        let at = source.below(bytes.len() as u64) as usize;
        match source.below(6) {
            0 => bytes[at] ^= 1 << source.below(8),
            1 => bytes[at] = source.number() as u8,
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, bytes[at]),
            4 => bytes.truncate(at),
            _ => {
                bytes.truncate(at);
                let from = source.below(other.len() as u64 + 1) as usize;
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

fn run(name: &str) {
    let target = levada_fuzz::target(name).expect("a target");
    let inputs = corpus::of(name);
    assert!(!inputs.is_empty(), "{name} has no inputs");
    let mut source = Source::new(1);
    let each = (CHANGED / inputs.len()).max(1);
    for (number, input) in inputs.iter().enumerate() {
        println!("{name}: input {number}");
        (target.check)(input);
        for _ in 0..each {
            let other = &inputs[source.below(inputs.len() as u64) as usize];
            let bytes = changed(&mut source, input, other);
            println!("{}", corpus::line(&bytes));
            (target.check)(&bytes);
        }
    }
}

macro_rules! each_target {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_its_test_and_its_binary() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/targets");
            let manifest = std::fs::read_to_string(format!("{folder}/Cargo.toml")).unwrap();
            for name in names {
                let path = format!("fuzz_targets/{name}.rs");
                assert!(manifest.contains(&path), "{path}");
                let binary = std::fs::read_to_string(format!("{folder}/{path}")).unwrap();
                assert!(binary.contains(&format!("fuzz!(\"{name}\")")), "{path}");
            }
        }
    };
}

each_target! {
    kafka_messages
    kafka_connection
    client_answers
    sqs_json
    sqs_form
    sqs_unsigned
    sqs_policy
    proxy_header
    record_batch
    commands
    snapshot
    data_folder
    index_run
    config
    command_line
}

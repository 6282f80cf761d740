//! What is checked of bytes that a stranger wrote: one function a parser, bytes in, a panic when
//! a promise breaks. The fuzzer (`fuzz/`) calls them with what it makes up, the test of this crate
//! with the committed corpus, so that CI needs neither a fuzzer nor a nightly compiler.
#![allow(clippy::disallowed_methods)]

pub mod corpus;
pub mod disk;
mod edits;
pub mod network;
pub mod records;
pub mod text;

// The template's module looks for it here, as in the command.
use text::parsers::when;

/// One parser, or a group of them that read the same bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// As the fuzzer's binary and the folder of its corpus are called.
    pub name: &'static str,
    /// What it reads.
    pub about: &'static str,
    pub check: fn(&[u8]),
}

/// Every target; what comes from the network stands first.
pub const TARGETS: &[Target] = &[
    Target {
        name: "kafka_messages",
        about: "every request and answer, every version: decode, encode, decode",
        check: network::messages::check,
    },
    Target {
        name: "kafka_connection",
        about: "the listener over an engine: frames, headers, handlers",
        check: network::connection::check,
    },
    Target {
        name: "client_answers",
        about: "our client against a broker that answers anything",
        check: network::answers::check,
    },
    Target {
        name: "sqs_json",
        about: "the SQS listener over an engine: HTTP, JSON bodies, actions",
        check: network::queues::check_json,
    },
    Target {
        name: "sqs_form",
        about: "the same with forms and XML",
        check: network::queues::check_form,
    },
    Target {
        name: "sqs_unsigned",
        about: "the listener where everybody must sign: what has no right signature does nothing",
        check: network::strangers::check,
    },
    Target {
        name: "sqs_policy",
        about: "a queue's policy: what it says is what its statements say",
        check: text::policy::check,
    },
    Target {
        name: "proxy_header",
        about: "the PROXY protocol's header, versions 1 and 2",
        check: network::proxy::check,
    },
    Target {
        name: "record_batch",
        about: "record batches, their records, the five compressions",
        check: records::check,
    },
    Target {
        name: "commands",
        about: "commands from the log, applied to a state",
        check: disk::commands::check,
    },
    Target {
        name: "snapshot",
        about: "the state's snapshot",
        check: disk::snapshot::check,
    },
    Target {
        name: "data_folder",
        about: "a data folder of log files and snapshots: recovery and what is read after it",
        check: disk::folder::check,
    },
    Target {
        name: "index_run",
        about: "spilled index runs",
        check: disk::index_run::check,
    },
    Target {
        name: "config",
        about: "configuration files and variables, topic settings, identity.json",
        check: text::config::check,
    },
    Target {
        name: "command_line",
        about: "times, templates and lines of the command line",
        check: text::command_line::check,
    },
];

/// The target with this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The fuzzer's way in: libFuzzer calls this symbol of the binary once an input.
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
            let target = $crate::target($name).expect("it is in the list");
            (target.check)(bytes);
        });
    };
}

//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.

use levada_wire_kafka::KStr;
use levada_wire_kafka::messages::*;

use super::topics::make;
use super::{TOPIC, UNKNOWN};
use crate::session::Session;

const TOPIC_TYPE: i8 = 2;
const BROKER_TYPE: i8 = 4;
/// Operations of IncrementalAlterConfigs.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn describe(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| KStr::from(*key)).collect()),
        }],
        include_synonyms: false,
        include_documentation: false,
    }
}

fn incremental(
    kind: i8,
    name: &str,
    changes: &[(&str, i8, Option<&str>)],
) -> IncrementalAlterConfigsRequest {
    let change = |(name, operation, value): &(&str, i8, Option<&str>)| {
        IncrementalAlterConfigsRequestAlterableConfig {
            name: KStr::from(*name),
            config_operation: *operation,
            value: value.map(KStr::from),
        }
    };
    IncrementalAlterConfigsRequest {
        resources: vec![IncrementalAlterConfigsRequestAlterConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configs: changes.iter().map(change).collect(),
        }],
        validate_only: false,
    }
}

/// What acts, one by one: each must have Kafka's default, type and source.
const KEYS: &[&str] = &[
    "cleanup.policy",
    "compression.type",
    "delete.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.ms",
];

pub fn run(session: &mut Session) {
    make(
        session,
        "configured",
        1,
        &[("retention.ms", Some("3600000"))],
    );
    let keys: &[&str] = &["retention.ms", "max.message.bytes"];
    session.every_version("two keys", |_, _| {
        describe(TOPIC_TYPE, "configured", Some(keys))
    });
    for key in KEYS {
        session.call(key, 4, &describe(TOPIC_TYPE, TOPIC, Some(&[key])));
    }
    session.call("all of a topic", 4, &describe(TOPIC_TYPE, TOPIC, None));
    session.call("no keys", 4, &describe(TOPIC_TYPE, TOPIC, Some(&[])));
    let with_synonyms = DescribeConfigsRequest {
        include_synonyms: true,
        ..describe(TOPIC_TYPE, "configured", Some(&["retention.ms"]))
    };
    session.call("with synonyms", 4, &with_synonyms);
    for (what, kind, name, key) in [
        ("unknown key", TOPIC_TYPE, TOPIC, "no.such.config"),
        ("unknown topic", TOPIC_TYPE, UNKNOWN, "retention.ms"),
        ("bad topic name", TOPIC_TYPE, "a b", "retention.ms"),
        ("no topic name", TOPIC_TYPE, "", "retention.ms"),
        ("broker", BROKER_TYPE, "1", "num.partitions"),
        ("another broker", BROKER_TYPE, "99", "num.partitions"),
        (
            "a broker that is no number",
            BROKER_TYPE,
            "x",
            "num.partitions",
        ),
        ("unknown kind", 77, "x", "retention.ms"),
    ] {
        session.call(what, 4, &describe(kind, name, Some(&[key])));
    }
    alter(session);
    alter_all(session);
}

fn alter(session: &mut Session) {
    session.every_version("set", |_, _| {
        incremental(
            TOPIC_TYPE,
            "configured",
            &[("retention.ms", SET, Some("7200000"))],
        )
    });
    type Case = (
        &'static str,
        &'static [(&'static str, i8, Option<&'static str>)],
    );
    let cases: &[Case] = &[
        ("delete", &[("retention.ms", DELETE, None)]),
        ("delete what is not set", &[("retention.ms", DELETE, None)]),
        (
            "append to a list",
            &[("cleanup.policy", APPEND, Some("compact"))],
        ),
        (
            "subtract from a list",
            &[("cleanup.policy", SUBTRACT, Some("compact"))],
        ),
        ("append to a number", &[("retention.ms", APPEND, Some("1"))]),
        ("set to null", &[("retention.ms", SET, None)]),
        ("unknown key", &[("no.such.config", SET, Some("1"))]),
        ("out of range", &[("max.message.bytes", SET, Some("-7"))]),
        ("not a number", &[("retention.ms", SET, Some("soon"))]),
        ("unknown operation", &[("retention.ms", 9, Some("1"))]),
        (
            "twice",
            &[
                ("retention.ms", SET, Some("1")),
                ("retention.ms", SET, Some("2")),
            ],
        ),
        (
            "one good, one bad",
            &[
                ("retention.ms", SET, Some("5")),
                ("segment.bytes", SET, Some("x")),
            ],
        ),
        (
            "segment.bytes too small",
            &[("segment.bytes", SET, Some("1"))],
        ),
        ("nothing", &[]),
    ];
    for (what, changes) in cases {
        session.call(what, 1, &incremental(TOPIC_TYPE, "configured", changes));
    }
    let keys: &[&str] = &["retention.ms", "cleanup.policy", "segment.bytes"];
    session.call(
        "after the changes",
        4,
        &describe(TOPIC_TYPE, "configured", Some(keys)),
    );
    let set: &[_] = &[("retention.ms", SET, Some("9"))];
    session.call("unknown topic", 1, &incremental(TOPIC_TYPE, UNKNOWN, set));
    session.call("unknown kind", 1, &incremental(77, "x", set));
    let dry = IncrementalAlterConfigsRequest {
        validate_only: true,
        ..incremental(TOPIC_TYPE, "configured", set)
    };
    session.call("validate only", 1, &dry);
    session.call(
        "after validation",
        4,
        &describe(TOPIC_TYPE, "configured", Some(keys)),
    );
}

/// AlterConfigs replaces all of them.
fn alter_all(session: &mut Session) {
    let alter = |name: &str, configs: &[(&str, Option<&str>)]| AlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: TOPIC_TYPE,
            resource_name: name.into(),
            configs: configs
                .iter()
                .map(|(name, value)| AlterableConfig {
                    name: KStr::from(*name),
                    value: value.map(KStr::from),
                })
                .collect(),
        }],
        validate_only: false,
    };
    session.every_version("replace all", |_, _| {
        alter("configured", &[("max.message.bytes", Some("2000000"))])
    });
    let keys: &[&str] = &["retention.ms", "max.message.bytes"];
    session.call(
        "after the replacement",
        4,
        &describe(TOPIC_TYPE, "configured", Some(keys)),
    );
    session.call("unknown topic", 2, &alter(UNKNOWN, &[]));
    session.call(
        "unknown key",
        2,
        &alter("configured", &[("no.such.config", Some("1"))]),
    );
    session.call(
        "null value",
        2,
        &alter("configured", &[("retention.ms", None)]),
    );
    session.call("nothing", 2, &alter("configured", &[]));
}

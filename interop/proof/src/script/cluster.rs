//! ApiVersions, Metadata, DescribeCluster, FindCoordinator, SASL: what a client asks first.

use levada_wire_kafka::messages::*;
use levada_wire_kafka::{KStr, Uuid};

use super::UNKNOWN;
use crate::session::Session;

pub fn run(session: &mut Session) {
    session.every_version("", |_, _| ApiVersionsRequest {
        client_software_name: "proof".into(),
        client_software_version: "1".into(),
    });
    for (name, version) in [
        ("", "1"),
        ("bad name!", "1"),
        ("-proof", "1"),
        ("proof", ""),
    ] {
        let request = ApiVersionsRequest {
            client_software_name: name.into(),
            client_software_version: version.into(),
        };
        session.call(&format!("software {name:?} {version:?}"), 3, &request);
    }
    session.every_version("", |_, _| DescribeClusterRequest::default());
    let request = DescribeClusterRequest {
        include_cluster_authorized_operations: true,
        ..DescribeClusterRequest::default()
    };
    session.call("with operations", 1, &request);
    for endpoint_type in [0, 2, 9] {
        let request = DescribeClusterRequest {
            endpoint_type,
            ..Default::default()
        };
        session.call(&format!("endpoint type {endpoint_type}"), 1, &request);
    }
    coordinators(session);
    let request = SaslHandshakeRequest {
        mechanism: "PLAIN".into(),
    };
    session.call("on a plain listener", 1, &request);
    session.call(
        "on a plain listener",
        1,
        &SaslAuthenticateRequest::default(),
    );
    unknown_metadata(session);
}

fn coordinators(session: &mut Session) {
    // Kafka makes its offsets topic at the first question; until then it is not available.
    let first = FindCoordinatorRequest {
        key: "diff-group".into(),
        ..Default::default()
    };
    session.until(1, &first, |answer| answer.error_code == 0);
    session.every_version("group", |_, version| FindCoordinatorRequest {
        key: "diff-group".into(),
        key_type: 0,
        coordinator_keys: if version >= 4 {
            vec!["a".into(), "b".into()]
        } else {
            Vec::new()
        },
    });
    for (what, key, key_type) in [("empty group", "", 0), ("unknown type", "x", 7)] {
        let old = FindCoordinatorRequest {
            key: key.into(),
            key_type,
            ..Default::default()
        };
        session.call(what, 2, &old);
        let new = FindCoordinatorRequest {
            key_type,
            coordinator_keys: vec![key.into()],
            ..Default::default()
        };
        session.call(what, 4, &new);
    }
    session.call("no keys", 4, &FindCoordinatorRequest::default());
}

/// A request for topics by name, which creates none.
pub fn metadata(names: &[&str]) -> MetadataRequest {
    let topic = |name: &&str| MetadataRequestTopic {
        name: Some(KStr::from(*name)),
        topic_id: Uuid::ZERO,
    };
    MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    }
}

fn unknown_metadata(session: &mut Session) {
    for version in 4..=13 {
        session.call("unknown topic", version, &metadata(&[UNKNOWN]));
    }
    for name in ["", ".", "..", "bad name", "a/b", &"x".repeat(250)] {
        let what = format!("topic {:.10?}", name);
        session.call(&what, 9, &metadata(&[name]));
        session.call(&what, 12, &metadata(&[name]));
    }
    let by_id = |topic_id, name: Option<&str>| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            topic_id,
            name: name.map(KStr::from),
        }]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    session.call("unknown id", 12, &by_id(Uuid([7; 16]), None));
    session.call("no id, no name", 12, &by_id(Uuid::ZERO, None));
    session.call("id and name", 12, &by_id(Uuid([7; 16]), Some(UNKNOWN)));
    session.call("no topics", 12, &metadata(&[]));
    let with_operations = MetadataRequest {
        include_topic_authorized_operations: true,
        include_cluster_authorized_operations: true,
        ..metadata(&[])
    };
    session.call("with operations", 9, &with_operations);
}

//! What policies say to whom.

use serde_json::json;

use super::*;
use crate::auth::{Identity, Role};

const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:jobs";

fn ask(policy: &Value, who: Option<&str>, action: &str) -> Verdict {
    let who = who.map(|name| Identity::new("AKID", name, Role::Policy));
    let question = Question {
        circumstances: Circumstances {
            who: who.as_ref(),
            from: "127.0.0.1".parse().unwrap(),
            now_ms: 0,
        },
        actions: [action, action.trim_end_matches("batch")],
        resource: ARN,
    };
    Policy::parse(&policy.to_string()).unwrap().judge(&question)
}

fn one(more: Value) -> Value {
    let mut statement = json!({"Effect": "Allow", "Principal": "*", "Action": "SQS:*"});
    for (name, value) in more.as_object().unwrap() {
        match value.is_null() {
            true => statement.as_object_mut().unwrap().remove(name),
            false => statement
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

#[test]
fn a_statement_is_about_those_it_names() {
    let account = json!({"AWS": "000000000000"});
    let root = json!({"AWS": ["arn:aws:iam::000000000000:root"]});
    let ann = json!({"AWS": ["arn:aws:iam::1:root", "arn:aws:iam::000000000000:user/ann"]});
    let service = json!({"Service": "sns.amazonaws.com"});
    for (principal, anybody, ann_is, bob_is) in [
        (json!("*"), true, true, true),
        (json!({"AWS": "*"}), true, true, true),
        (account, false, true, true),
        (root, false, true, true),
        (ann, false, true, false),
        (service, false, false, false),
        (json!({"AWS": "111122223333"}), false, false, false),
    ] {
        let policy = one(json!({"Principal": principal}));
        for (who, is_named) in [
            (None, anybody),
            (Some("ann"), ann_is),
            (Some("bob"), bob_is),
        ] {
            let expected = if is_named {
                Verdict::Allowed
            } else {
                Verdict::Silent
            };
            assert_eq!(
                ask(&policy, who, "sendmessage"),
                expected,
                "{principal} {who:?}"
            );
        }
    }
    let but_ann = json!({"AWS": "arn:aws:iam::000000000000:user/ann"});
    let policy = one(json!({"Effect": "Deny", "Principal": null, "NotPrincipal": but_ann}));
    assert_eq!(ask(&policy, Some("ann"), "sendmessage"), Verdict::Silent);
    assert_eq!(ask(&policy, Some("bob"), "sendmessage"), Verdict::Denied);
    assert_eq!(ask(&policy, None, "sendmessage"), Verdict::Denied);
    // Naming the account beside her spares nobody else.
    let root = "arn:aws:iam::000000000000:root";
    let but_ann = json!({"AWS": ["arn:aws:iam::000000000000:user/ann", root]});
    let policy = one(json!({"Effect": "Deny", "Principal": null, "NotPrincipal": but_ann}));
    assert_eq!(ask(&policy, Some("ann"), "sendmessage"), Verdict::Silent);
    assert_eq!(ask(&policy, Some("bob"), "sendmessage"), Verdict::Denied);
}

#[test]
fn actions_have_wildcards_any_case_and_their_batches() {
    for (named, action, is_named) in [
        (json!("SQS:SendMessage"), "sendmessage", true),
        (json!("sqs:sendMESSAGE"), "sendmessagebatch", true),
        (json!("SQS:SendMessageBatch"), "sendmessage", false),
        (json!(["sqs:Get*", "sqs:Rec*"]), "receivemessage", true),
        (json!("sqs:Get*"), "sendmessage", false),
        (json!("*"), "deletequeue", true),
    ] {
        let expected = if is_named {
            Verdict::Allowed
        } else {
            Verdict::Silent
        };
        assert_eq!(
            ask(&one(json!({"Action": named})), None, action),
            expected,
            "{named} {action}"
        );
    }
    let policy = one(json!({"Effect": "Deny", "Action": null, "NotAction": "sqs:SendMessage"}));
    assert_eq!(ask(&policy, None, "sendmessagebatch"), Verdict::Silent);
    assert_eq!(ask(&policy, None, "receivemessage"), Verdict::Denied);
}

#[test]
fn resources_are_arns_with_wildcards() {
    for (resource, is_named) in [
        (json!(ARN), true),
        (json!("arn:aws:sqs:*:*:jo?s"), true),
        (
            json!(["arn:aws:sqs:us-east-1:000000000000:other", "*"]),
            true,
        ),
        (json!("arn:aws:sqs:us-east-1:000000000000:other"), false),
        (
            json!("arn:aws:sqs:us-east-1:000000000000:${aws:username}"),
            false,
        ),
    ] {
        let expected = if is_named {
            Verdict::Allowed
        } else {
            Verdict::Silent
        };
        assert_eq!(
            ask(&one(json!({"Resource": resource})), None, "sendmessage"),
            expected
        );
    }
    let variable = json!({"Effect": "Deny", "Resource": "arn:aws:sqs:*:*:${aws:username}"});
    assert_eq!(ask(&one(variable), None, "sendmessage"), Verdict::Denied);
}

#[test]
fn a_denial_counts_before_what_allows() {
    let allow = json!({"Effect": "Allow", "Principal": "*", "Action": "*"});
    let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "SQS:DeleteQueue"});
    for statements in [json!([allow, deny]), json!([deny, allow])] {
        let policy = json!({"Statement": statements});
        assert_eq!(ask(&policy, None, "deletequeue"), Verdict::Denied);
        assert_eq!(ask(&policy, None, "sendmessage"), Verdict::Allowed);
    }
}

#[test]
fn what_nobody_knows_allows_nothing_and_denies() {
    let unknown = json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}});
    let never = json!({
        "StringEquals": {"aws:PrincipalOrgID": "o-1"},
        "Bool": {"aws:SecureTransport": "true"},
    });
    let policy =
        |effect: &str, condition: &Value| one(json!({"Effect": effect, "Condition": condition}));
    assert_eq!(
        ask(&policy("Allow", &unknown), None, "sendmessage"),
        Verdict::Silent
    );
    assert_eq!(
        ask(&policy("Deny", &unknown), None, "sendmessage"),
        Verdict::Denied
    );
    // One condition is known not to hold: the statement is not about this request.
    assert_eq!(
        ask(&policy("Deny", &never), None, "sendmessage"),
        Verdict::Silent
    );
    let tls_only = json!({"Bool": {"aws:SecureTransport": "false"}});
    assert_eq!(
        ask(&policy("Deny", &tls_only), None, "sendmessage"),
        Verdict::Denied
    );
}

#[test]
fn what_no_policy_can_have_is_refused() {
    for policy in [
        json!([]),
        json!({}),
        json!({"Version": "2026-01-01", "Statement": []}),
        json!({"Statement": [], "Statements": []}),
        json!({"Statement": ["x"]}),
        json!({"Statement": vec![json!({"Effect": "Deny", "Principal": "*", "Action": "*"}); 21]}),
        one(json!({"Effect": "allow"})),
        one(json!({"Sid": 1})),
        one(json!({"Principal": null})),
        one(json!({"Principal": "000000000000"})),
        one(json!({"Principal": {"Aws": "*"}})),
        one(json!({"Principal": null, "NotPrincipal": "*"})),
        one(json!({"Effect": "Deny", "NotPrincipal": "*"})),
        one(json!({"Action": null})),
        one(json!({"Action": []})),
        one(json!({"Action": "s3:*"})),
        one(json!({"Action": "SQS:"})),
        one(json!({"Action": "SendMessage"})),
        one(json!({"Resource": 1})),
        one(json!({"Conditions": {}})),
        one(json!({"Condition": []})),
    ] {
        assert!(Policy::parse(&policy.to_string()).is_err(), "{policy}");
    }
    assert!(Policy::parse("{\"Statement\":").is_err());
    assert!(Policy::parse(&"[".repeat(8000)).is_err());
}

//! The policy of a queue. What it says of a request is what its statements say one by one: denied
//! by one is denied, else allowed by one is allowed; and however its JSON is laid out.

use levada_sqs::testing::{Verdict, policy_answers};
use serde_json::Value;

pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Some(answers) = policy_answers(&text) else {
        return;
    };
    let policy: Value = serde_json::from_str(&text).expect("it was read as JSON");
    let laid_out = serde_json::to_string_pretty(&policy).expect("JSON");
    assert_eq!(policy_answers(&laid_out).as_ref(), Some(&answers));
    let statements = match &policy["Statement"] {
        Value::Array(statements) => statements.clone(),
        one => vec![one.clone()],
    };
    let with = |statement: Value| {
        let mut policy = policy.clone();
        policy["Statement"] = statement;
        policy_answers(&policy.to_string()).expect("a part of a policy is one")
    };
    let mut summed = vec![Verdict::Silent; answers.len()];
    for statement in &statements {
        let alone = with(statement.clone());
        for (sum, said) in summed.iter_mut().zip(alone) {
            *sum = match (*sum, said) {
                (Verdict::Denied, _) | (_, Verdict::Denied) => Verdict::Denied,
                (Verdict::Allowed, _) | (_, Verdict::Allowed) => Verdict::Allowed,
                _ => Verdict::Silent,
            };
        }
    }
    assert_eq!(summed, answers, "{laid_out}");
}

/// Policies with every member and operator that is known.
pub fn seeds() -> Vec<Vec<u8>> {
    let statement = |members: &str| {
        format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",{members}}}]}}"#)
    };
    let when = |condition: &str| {
        statement(&format!(
            r#""Principal":"*","Action":"SQS:*","Condition":{{{condition}}}"#
        ))
    };
    let seeds = [
        statement(
            r#""Sid":"a","Principal":{"AWS":["000000000000","arn:aws:iam::000000000000:user/ann"]},"Action":["SQS:Send*","sqs:PurgeQueue"],"Resource":"arn:aws:sqs:*:*:q""#,
        ),
        statement(r#""NotPrincipal":{"AWS":"*"},"NotAction":"sqs:?urge*","NotResource":["*"]"#),
        r#"{"Id":"b","Statement":[{"Effect":"Allow","Principal":"*","Action":"*"},{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::000000000000:user/bob"},"Action":"sqs:PurgeQueue"}]}"#.to_owned(),
        when(r#""IpAddress":{"aws:SourceIp":["127.0.0.0/8","2001:db8::/32"]}"#),
        when(r#""NotIpAddress":{"aws:SourceIp":"10.0.0.1"},"Bool":{"aws:SecureTransport":false}"#),
        when(r#""DateLessThan":{"aws:CurrentTime":"2026-01-31T23:59:59Z"},"NumericGreaterThanEquals":{"aws:EpochTime":0}"#),
        when(r#""StringLike":{"aws:username":"a?n*"},"StringNotEqualsIgnoreCaseIfExists":{"aws:username":"BOB"}"#),
        when(r#""ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"},"Null":{"aws:SourceArn":"true"}"#),
        when(r#""ForAllValues:StringEquals":{"aws:PrincipalAccount":["${aws:username}"]}"#),
    ];
    seeds.map(String::into_bytes).into()
}

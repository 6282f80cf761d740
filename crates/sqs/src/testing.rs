//! What fuzzing asks of policies without a listener: feature `testing`.

pub use crate::auth::Verdict;
use crate::auth::{Circumstances, Identity, Policy, Question, Role};

/// What the policy in `text` says of each of a fixed list of requests; `None` where the text is no
/// policy. The requests differ in who asks (nobody, two users), from where (IPv4, IPv6), when and
/// what for.
pub fn policy_answers(text: &str) -> Option<Vec<Verdict>> {
    let policy = Policy::parse(text).ok()?;
    let users = [
        None,
        Some(Identity::new("AKID", "ann", Role::Policy)),
        Some(Identity::new("OTHER", "bob", Role::Admin)),
    ];
    let mut answers = Vec::new();
    for who in &users {
        for (from, now_ms) in [("127.0.0.1", 0), ("2001:db8::1", 1_769_860_800_000)] {
            for actions in [
                ["sendmessagebatch", "sendmessage"],
                ["purgequeue", "purgequeue"],
            ] {
                let circumstances = Circumstances {
                    who: who.as_ref(),
                    from: from.parse().ok()?,
                    now_ms,
                };
                let question = Question {
                    circumstances,
                    actions,
                    resource: "arn:aws:sqs:us-east-1:000000000000:q",
                };
                answers.push(policy.judge(&question));
            }
        }
    }
    Some(answers)
}

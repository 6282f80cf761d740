//! **A flipped bit costs the frame that it hit and no other.**
//!
//! CORRUPT_MESSAGE answers only a fetch that begins at a record which damage before it may cost.
//! Nothing but a fetch meets stored records, so no other call is answered so. After
//! [`Note::Audit`], when nothing is injected any more, no call on a topic that nobody asked to
//! delete fails for its storage (KAFKA_STORAGE_ERROR) either.
//!
//! Wrong bytes are never served, damaged or not: a record whose bytes differ from what was written
//! has an identity that nobody wrote, which the check `origin` finds.
//!
//! Tolerated: where a note of damage does not know what it hit, any fetch may fail after it.

use levada_wire_kafka::ErrorCode;

use super::Findings;
use super::calls::Call;
use super::facts::Facts;
use super::topics::Part;
use crate::history::*;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for (index, call) in facts.calls.iter().enumerate() {
        let (Some(part), Some(_)) = (call.part, call.outcome) else {
            continue;
        };
        findings.look();
        if let Some(why) = contradiction(facts, part, call) {
            let place = facts.topics.name(part);
            findings.violation(format!("{place}: {why}"), facts.events(index));
        }
    }
}

fn contradiction(facts: &Facts<'_>, part: Part, call: &Call<'_>) -> Option<String> {
    let code = ErrorCode::try_from(call.refusal()?);
    match (code, call.op) {
        (Ok(ErrorCode::CorruptMessage), Op::Fetch { from, .. }) => {
            let may_be = facts.may_be_damaged(part, *from, call.answered());
            (!may_be).then(|| format!("offset {from} is called damaged, no known damage hit it"))
        }
        (Ok(ErrorCode::CorruptMessage), _) => {
            Some("no stored record is read by this call, and yet it is called damaged".to_owned())
        }
        (Ok(ErrorCode::KafkaStorageError), _) => {
            let is_quiet = facts.audit.is_some_and(|audit| audit < call.invoked);
            let may_go = facts.topics.all[part.topic].dying < usize::MAX;
            (is_quiet && !may_go).then(|| "storage fails, though no fault is injected".to_owned())
        }
        _ => None,
    }
}

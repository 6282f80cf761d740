//! Member ids that the server makes up, and those that it has given out.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use levada_env::Env;
use levada_model::limits::NAME_BYTES_MAX;

/// A member id as Kafka makes them: what is known of the client, and a random UUID.
pub(super) fn member_id(env: &Env, prefix: &str) -> String {
    let mut bytes = [0; 16];
    env.random_bytes(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let number = u128::from_be_bytes(bytes);
    let hex = format!("{number:032x}");
    let uuid = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-");
    let mut cut = prefix.len().min(NAME_BYTES_MAX - uuid.len() - 1);
    while !prefix.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}-{uuid}", &prefix[..cut])
}

/// Ids that were answered with MEMBER_ID_REQUIRED (KIP-394) and have not joined yet. They are not
/// durable: after a restart the client is told that it is unknown and asks again.
pub(super) struct PendingMembers {
    most: usize,
    /// Until when each may join, by group and member.
    due_ms: HashMap<(String, String), u64, FixedState>,
    /// In the order in which they were given out; some have joined since.
    order: VecDeque<(String, String)>,
}

impl PendingMembers {
    pub fn new(most: usize) -> Self {
        PendingMembers {
            most: most.max(1),
            due_ms: HashMap::with_hasher(FixedState::default()),
            order: VecDeque::new(),
        }
    }

    pub fn insert(&mut self, group: &str, member: &str, due_ms: u64, now_ms: u64) {
        while let Some(oldest) = self.order.front() {
            let over = self
                .due_ms
                .get(oldest)
                .is_none_or(|due_ms| *due_ms <= now_ms);
            if !over && self.order.len() < self.most {
                break;
            }
            self.due_ms.remove(oldest);
            self.order.pop_front();
        }
        let key = (group.to_owned(), member.to_owned());
        self.due_ms.insert(key.clone(), due_ms);
        self.order.push_back(key);
    }

    /// Whether the id was given out and may still join; it is no longer pending then.
    pub fn take(&mut self, group: &str, member: &str, now_ms: u64) -> bool {
        if self.due_ms.is_empty() {
            return false;
        }
        let due_ms = self.due_ms.remove(&(group.to_owned(), member.to_owned()));
        due_ms.is_some_and(|due_ms| due_ms > now_ms)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_id_joins_once_and_in_time() {
        let mut pending = PendingMembers::new(10);
        pending.insert("g", "a", 100, 0);
        pending.insert("g", "b", 100, 0);
        assert!(!pending.take("h", "a", 1));
        assert!(pending.take("g", "a", 1));
        assert!(!pending.take("g", "a", 1));
        assert!(!pending.take("g", "b", 100));
    }

    #[test]
    fn pending_ids_are_bounded() {
        let mut pending = PendingMembers::new(3);
        for number in 0..100 {
            pending.insert("g", &number.to_string(), 1000, 0);
        }
        assert_eq!(pending.len(), 3);
        assert!(pending.take("g", "99", 0));
        assert!(!pending.take("g", "0", 0));
    }

    #[test]
    fn a_member_id_is_the_client_and_a_uuid() {
        let env = Env::real();
        let id = member_id(&env, "client");
        assert_eq!(id.len(), "client-".len() + 36);
        assert_ne!(id, member_id(&env, "client"));
        assert!(member_id(&env, &"é".repeat(2000)).len() <= NAME_BYTES_MAX);
    }
}

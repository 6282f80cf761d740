//! Settings that many topics have alike, kept once: a million queues that one program makes differ in
//! their names only, and a topic's settings are larger than the rest of its row.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::topic_config::TopicConfig;

/// Settings that were set on a topic, as text.
pub type Overrides = BTreeMap<String, String>;

/// Settings that nobody has any more are looked for when there are so many, and each time that they
/// have doubled.
const SWEEP_MIN: usize = 64;

#[derive(Default)]
pub(crate) struct SharedSettings {
    known: BTreeMap<Arc<Overrides>, Arc<TopicConfig>>,
    sweep_at: usize,
}

impl SharedSettings {
    /// The parsed settings of another topic that has set the same: to parse them costs more than
    /// everything else when a topic's row is read.
    pub fn config(&self, overrides: &Overrides) -> Option<Arc<TopicConfig>> {
        self.known.get(overrides).map(Arc::clone)
    }

    /// The same settings, in memory that all topics with them share.
    pub fn share(
        &mut self,
        overrides: Overrides,
        config: Arc<TopicConfig>,
    ) -> (Arc<Overrides>, Arc<TopicConfig>) {
        if let Some((known, config)) = self.known.get_key_value(&overrides) {
            return (Arc::clone(known), Arc::clone(config));
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|one, _| Arc::strong_count(one) > 1);
            self.sweep_at = (2 * self.known.len()).max(SWEEP_MIN);
        }
        let overrides = Arc::new(overrides);
        (self.known).insert(Arc::clone(&overrides), Arc::clone(&config));
        (overrides, config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(value: usize) -> Overrides {
        Overrides::from([("retention.ms".to_owned(), value.to_string())])
    }

    #[test]
    fn equal_settings_are_one_and_those_of_nobody_are_forgotten() {
        let mut shared = SharedSettings::default();
        let mut share = |value| shared.share(overrides(value), Arc::default());
        let (one, config) = share(1);
        let (same, same_config) = share(1);
        assert!(Arc::ptr_eq(&one, &same) && Arc::ptr_eq(&config, &same_config));
        assert!(!Arc::ptr_eq(&one, &share(2).0));
        let known = shared.config(&overrides(1));
        assert!(known.is_some_and(|known| Arc::ptr_eq(&known, &config)));
        let mut share = |value| shared.share(overrides(value), Arc::default());
        (0..10 * SWEEP_MIN).for_each(|value| drop(share(value)));
        assert!(
            shared.known.len() <= SWEEP_MIN + 1,
            "{}",
            shared.known.len()
        );
        assert!(Arc::ptr_eq(
            &one,
            &shared.share(overrides(1), Arc::default()).0
        ));
    }
}

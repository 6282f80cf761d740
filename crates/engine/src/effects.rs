//! Hands the effects of applied commands to those who wait for them.

use std::sync::Arc;

use levada_catalog::Effect;
use levada_sequencer::EffectSink;

use crate::groups::WeakGroups;
use crate::watch::Watchers;

pub(crate) struct Dispatch {
    pub watchers: Arc<Watchers>,
    /// Receivers of queues: a log start that moves, as each acknowledgement does, gives them nothing.
    pub receivers: Arc<Watchers>,
    pub groups: WeakGroups,
}

impl EffectSink for Dispatch {
    fn notice(&self, effects: &[Effect]) {
        let moved = effects.iter().flat_map(|effect| match effect {
            Effect::HighWatermark { partition, .. } | Effect::LogStart { partition, .. } => {
                std::slice::from_ref(partition)
            }
            Effect::TopicDeleted { partitions, .. } => partitions.as_slice(),
            _ => &[],
        });
        self.watchers.wake(moved.copied());
        let grown = effects.iter().flat_map(|effect| match effect {
            Effect::HighWatermark { partition, .. } => std::slice::from_ref(partition),
            Effect::TopicDeleted { partitions, .. } => partitions.as_slice(),
            _ => &[],
        });
        self.receivers.wake(grown.copied());
        let Some(groups) = self.groups.upgrade() else {
            return;
        };
        for effect in effects {
            if let Effect::Group(effect) = effect {
                groups.on_effect(effect);
            }
        }
    }
}

//! Groups within the state: their commands, what the end of a topic does to them, their rows.
//!
//! Group rows carry no mark. A snapshot walks them by name; what changes ahead of the walk is
//! written first and its name remembered until the walk has passed it.

use std::collections::BTreeSet;
use std::sync::Arc;

use levada_model::TopicId;

use crate::groups::{GroupCommand, GroupTable, TopicLookup};
use crate::reply::{Effect, Reply};
use crate::saver::{RowKind, Saver};
use crate::state::State;
use crate::topics::TopicTable;

impl TopicLookup for TopicTable {
    fn partition_count(&self, topic: TopicId) -> Option<u32> {
        Some(self.get(topic)?.partition_count())
    }

    fn topic_name(&self, topic: TopicId) -> Option<&str> {
        Some(&self.get(topic)?.name)
    }
}

impl State {
    pub(crate) fn apply_group(
        &mut self,
        command: &GroupCommand,
        now_ms: i64,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let (walk, saver) = (&mut self.group_walk, &mut self.saver);
        walk.save(command.group(), &self.groups, saver);
        let mut changes = Vec::new();
        let reply = (self.groups).apply(command.clone(), now_ms, &self.topics, &mut changes);
        effects.extend(changes.into_iter().map(Effect::Group));
        Reply::Group(reply)
    }

    /// [`GroupTable::expirable`] over the state's topics.
    pub fn expirable_groups(
        &self,
        after: Option<&str>,
        scan_max: usize,
        retention_ms: u64,
        now_ms: i64,
    ) -> (Vec<String>, Option<String>) {
        let groups = &self.groups;
        groups.expirable(after, scan_max, retention_ms, now_ms, &self.topics)
    }

    /// Committed offsets of a topic that is gone.
    pub(crate) fn forget_topic_offsets(&mut self, topic: TopicId) {
        if self.saver.active() {
            for name in self.groups.groups_of_topic(topic) {
                self.group_walk.save(name, &self.groups, &mut self.saver);
            }
        }
        self.groups.forget_topic(topic);
    }
}

/// How far a snapshot has walked through the groups.
#[derive(Default)]
pub(crate) struct GroupWalk {
    /// The last name that the walk has passed.
    passed: Option<Arc<str>>,
    /// Names ahead of the walk that need nothing more: written already, or made since the begin.
    settled: BTreeSet<Arc<str>>,
}

impl GroupWalk {
    /// Before the group of this name changes, comes or goes.
    fn save(&mut self, name: &str, groups: &GroupTable, saver: &mut Saver) {
        let passed = self.passed.as_deref().is_some_and(|passed| name <= passed);
        if !saver.active() || passed || self.settled.contains(name) {
            return;
        }
        self.settled.insert(Arc::from(name));
        if let Some(group) = groups.get(name) {
            group.encode_row(saver.row(RowKind::Group));
        }
    }

    /// Saves the next rows; returns the rows visited, 0 at the end.
    pub(crate) fn save_slice(
        &mut self,
        groups: &GroupTable,
        saver: &mut Saver,
        rows_max: usize,
    ) -> usize {
        let mut visited = 0;
        let passed = self.passed.clone();
        for group in groups.after(passed.as_deref()).take(rows_max) {
            if !self.settled.remove(group.name()) {
                group.encode_row(saver.row(RowKind::Group));
            }
            visited += 1;
            self.passed = Some(group.name().clone());
        }
        visited
    }
}

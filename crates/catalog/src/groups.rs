//! Consumer groups: their commands, rules and rows. (The first of these are being written.)

/// A change to a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupCommand {}

/// The result of a [`GroupCommand`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupReply {}

/// What changed in a group, for those who wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupEffect {}

//! Consumer groups: coordinator look-up, membership, offsets, administration.
//!
//! Nothing is decided here: a message becomes a call of `engine.groups()`, its result a message.
//! All but the look-up are `later!`, so that what one connection sends acts in its order: a commit
//! before the fetch of what it committed, a leave before the join that follows it.

mod codes;
mod delete_groups;
mod describe_groups;
mod find_coordinator;
mod heartbeat;
mod join_group;
mod leave_group;
mod list_groups;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod sync_group;

use crate::dispatch::{Api, later, now};

/// The rows of this part of the table.
pub const APIS: &[Api] = &[
    now!(FindCoordinator => find_coordinator::handle),
    later!(JoinGroup => join_group::handle),
    later!(SyncGroup => sync_group::handle),
    later!(Heartbeat => heartbeat::handle),
    later!(LeaveGroup => leave_group::handle),
    later!(OffsetCommit => offset_commit::handle),
    later!(OffsetFetch => offset_fetch::handle),
    later!(OffsetDelete => offset_delete::handle),
    later!(ListGroups => list_groups::handle),
    later!(DescribeGroups => describe_groups::handle),
    later!(DeleteGroups => delete_groups::handle),
];

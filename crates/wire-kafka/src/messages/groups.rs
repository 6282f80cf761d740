//! Membership of consumer groups, the classic protocol.

use bytes::Bytes;

use crate::table::message;
use crate::types::KStr;

message! {
    /// Asks for the coordinator of groups or transactions (KIP-699).
    message FindCoordinatorRequest, flexible 3 {
        key:              KStr,      0..=3;
        key_type:         i8,        1..;
        coordinator_keys: Vec<KStr>, 4..;
    }

    /// The coordinator of each key.
    message FindCoordinatorResponse, flexible 3 {
        throttle_time_ms: i32,              1..;
        error_code:       i16,              0..=3;
        error_message:    Option<KStr>,     1..=3, default Some(KStr::new());
        node_id:          i32,              0..=3;
        host:             KStr,             0..=3;
        port:             i32,              0..=3;
        coordinators:     Vec<Coordinator>, 4..;
    }

    part Coordinator {
        key:           KStr,         4..;
        node_id:       i32,          4..;
        host:          KStr,         4..;
        port:          i32,          4..;
        error_code:    i16,          4..;
        error_message: Option<KStr>, 4.., default Some(KStr::new());
    }

    /// A member joins or rejoins (KIP-62, KIP-345, KIP-394).
    message JoinGroupRequest, flexible 6 {
        group_id:             KStr,                          0..;
        session_timeout_ms:   i32,                           0..;
        rebalance_timeout_ms: i32,                           1.., default -1;
        member_id:            KStr,                          0..;
        group_instance_id:    Option<KStr>,                  5..;
        protocol_type:        KStr,                          0..;
        protocols:            Vec<JoinGroupRequestProtocol>, 0..;
        reason:               Option<KStr>,                  8..;
    }

    part JoinGroupRequestProtocol {
        name:     KStr,  0..;
        metadata: Bytes, 0..;
    }

    /// The generation that the member has joined; members for the leader only.
    message JoinGroupResponse, flexible 6 {
        throttle_time_ms: i32,                          2..;
        error_code:       i16,                          0..;
        generation_id:    i32,                          0.., default -1;
        protocol_type:    Option<KStr>,                 7..;
        protocol_name:    Option<KStr>,                 0.., null 7.., default Some(KStr::new());
        leader:           KStr,                         0..;
        skip_assignment:  bool,                         9..;
        member_id:        KStr,                         0..;
        members:          Vec<JoinGroupResponseMember>, 0..;
    }

    part JoinGroupResponseMember {
        member_id:         KStr,         0..;
        group_instance_id: Option<KStr>, 5..;
        metadata:          Bytes,        0..;
    }

    /// The leader hands in assignments, the others ask for theirs (KIP-559).
    message SyncGroupRequest, flexible 4 {
        group_id:          KStr,                            0..;
        generation_id:     i32,                             0..;
        member_id:         KStr,                            0..;
        group_instance_id: Option<KStr>,                    3..;
        protocol_type:     Option<KStr>,                    5..;
        protocol_name:     Option<KStr>,                    5..;
        assignments:       Vec<SyncGroupRequestAssignment>, 0..;
    }

    part SyncGroupRequestAssignment {
        member_id:  KStr,  0..;
        assignment: Bytes, 0..;
    }

    /// The member's assignment.
    message SyncGroupResponse, flexible 4 {
        throttle_time_ms: i32,          1..;
        error_code:       i16,          0..;
        protocol_type:    Option<KStr>, 5..;
        protocol_name:    Option<KStr>, 5..;
        assignment:       Bytes,        0..;
    }

    /// A member is alive.
    message HeartbeatRequest, flexible 4 {
        group_id:          KStr,         0..;
        generation_id:     i32,          0..;
        member_id:         KStr,         0..;
        group_instance_id: Option<KStr>, 3..;
    }

    /// Whether to go on, rejoin or start anew.
    message HeartbeatResponse, flexible 4 {
        throttle_time_ms: i32, 1..;
        error_code:       i16, 0..;
    }

    /// Members leave (KIP-345, KIP-800).
    message LeaveGroupRequest, flexible 4 {
        group_id:  KStr,                0..;
        member_id: KStr,                0..=2;
        members:   Vec<MemberIdentity>, 3..;
    }

    part MemberIdentity {
        member_id:         KStr,         3..;
        group_instance_id: Option<KStr>, 3..;
        reason:            Option<KStr>, 5..;
    }

    /// The result for each member.
    message LeaveGroupResponse, flexible 4 {
        throttle_time_ms: i32,                 1..;
        error_code:       i16,                 0..;
        members:          Vec<MemberResponse>, 3..;
    }

    part MemberResponse {
        member_id:         KStr,         3..;
        group_instance_id: Option<KStr>, 3.., default Some(KStr::new());
        error_code:        i16,          3..;
    }
}

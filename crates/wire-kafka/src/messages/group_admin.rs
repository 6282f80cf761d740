//! Groups as an administrator sees them.

use bytes::Bytes;

use crate::table::message;
use crate::types::KStr;

message! {
    /// Lists groups by state and type (KIP-518, KIP-848).
    message ListGroupsRequest, flexible 3 {
        states_filter: Vec<KStr>, 4..;
        types_filter:  Vec<KStr>, 5..;
    }

    /// Groups that match.
    message ListGroupsResponse, flexible 3 {
        throttle_time_ms: i32,              1..;
        error_code:       i16,              0..;
        groups:           Vec<ListedGroup>, 0..;
    }

    part ListedGroup {
        group_id:      KStr, 0..;
        protocol_type: KStr, 0..;
        group_state:   KStr, 4..;
        group_type:    KStr, 5..;
    }

    /// Asks for classic groups by name (KIP-430, KIP-1043).
    message DescribeGroupsRequest, flexible 5 {
        groups:                        Vec<KStr>, 0..;
        include_authorized_operations: bool,      3..;
    }

    /// The state and members of each group.
    message DescribeGroupsResponse, flexible 5 {
        throttle_time_ms: i32,                 1..;
        groups:           Vec<DescribedGroup>, 0..;
    }

    part DescribedGroup {
        error_code:            i16,                       0..;
        error_message:         Option<KStr>,              6..;
        group_id:              KStr,                      0..;
        group_state:           KStr,                      0..;
        protocol_type:         KStr,                      0..;
        protocol_data:         KStr,                      0..;
        members:               Vec<DescribedGroupMember>, 0..;
        authorized_operations: i32,                       3.., default -2147483648;
    }

    part DescribedGroupMember {
        member_id:         KStr,         0..;
        group_instance_id: Option<KStr>, 4..;
        client_id:         KStr,         0..;
        client_host:       KStr,         0..;
        member_metadata:   Bytes,        0..;
        member_assignment: Bytes,        0..;
    }

    /// Groups to delete (KIP-229).
    message DeleteGroupsRequest, flexible 2 {
        groups_names: Vec<KStr>, 0..;
    }

    /// The result for each group.
    message DeleteGroupsResponse, flexible 2 {
        throttle_time_ms: i32,                       0..;
        results:          Vec<DeletableGroupResult>, 0..;
    }

    part DeletableGroupResult {
        group_id:   KStr, 0..;
        error_code: i16,  0..;
    }
}

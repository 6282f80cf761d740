//! DescribeGroups 0-6 (KIP-430, KIP-1043).

use levada_engine::GroupError;
use levada_engine::groups::DescribedGroup as Description;
use levada_wire_kafka::KStr;
use levada_wire_kafka::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

use super::codes::code;
use crate::call::Call;

/// The first version that is told that a group is unknown; earlier ones see a dead group.
const NOT_FOUND_FROM: i16 = 6;
/// Bits of the operations that everybody may do without access control: READ, DELETE, DESCRIBE,
/// DESCRIBE_CONFIGS, ALTER_CONFIGS.
const OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub async fn handle(call: &Call, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|name| {
        let mut group = match call.engine().groups().describe(&name) {
            Ok(Some(description)) => answer(name, description),
            Ok(None) => unknown(call, name),
            Err(error) => DescribedGroup {
                error_code: code(call, Err(error)),
                group_id: name,
                ..Default::default()
            },
        };
        if request.include_authorized_operations && group.error_code == 0 {
            group.authorized_operations = OPERATIONS;
        }
        group
    });
    DescribeGroupsResponse {
        groups: groups.collect(),
        ..Default::default()
    }
}

fn unknown(call: &Call, name: KStr) -> DescribedGroup {
    let mut group = DescribedGroup {
        group_state: KStr::from_static("Dead"),
        ..Default::default()
    };
    if call.version() >= NOT_FOUND_FROM {
        group.error_code = code(call, Err(GroupError::GroupIdNotFound));
        group.error_message = Some(format!("Group {name} not found.").into());
    }
    group.group_id = name;
    group
}

fn answer(name: KStr, description: Description) -> DescribedGroup {
    let members = description
        .members
        .into_iter()
        .map(|member| DescribedGroupMember {
            member_id: member.member.into(),
            group_instance_id: member.instance.map(Into::into),
            client_id: member.client_id.into(),
            client_host: member.client_host.into(),
            member_metadata: member.metadata,
            member_assignment: member.assignment,
        });
    DescribedGroup {
        group_id: name,
        group_state: KStr::from_static(description.summary.state),
        protocol_type: description.summary.protocol_type.into(),
        protocol_data: description.protocol.into(),
        members: members.collect(),
        ..Default::default()
    }
}

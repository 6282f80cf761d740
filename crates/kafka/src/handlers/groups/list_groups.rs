//! ListGroups 0-5 (KIP-518, KIP-848).

use levada_engine::groups::GroupFilter;
use levada_wire_kafka::KStr;
use levada_wire_kafka::messages::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use super::codes::code;
use crate::call::Call;

pub async fn handle(call: &Call, request: ListGroupsRequest) -> ListGroupsResponse {
    let names = |names: &[KStr]| names.iter().map(ToString::to_string).collect();
    let filter = GroupFilter {
        states: names(&request.states_filter),
        types: names(&request.types_filter),
    };
    let listed = match call.engine().groups().list(&filter) {
        Ok(listed) => listed,
        Err(error) => {
            return ListGroupsResponse {
                error_code: code(call, Err(error)),
                ..Default::default()
            };
        }
    };
    let groups = listed.into_iter().map(|group| ListedGroup {
        group_id: group.name.into(),
        protocol_type: group.protocol_type.into(),
        group_state: KStr::from_static(group.state),
        group_type: KStr::from_static(group.group_type),
    });
    ListGroupsResponse {
        groups: groups.collect(),
        ..Default::default()
    }
}

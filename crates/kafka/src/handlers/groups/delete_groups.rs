//! DeleteGroups 0-2 (KIP-229).

use futures_util::future::join_all;
use levada_wire_kafka::messages::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

use super::codes::code;
use crate::call::Call;

pub async fn handle(call: &Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let groups = call.engine().groups();
    // Together, so that they share a commit.
    let deletions = request.groups_names.into_iter().map(|group_id| async {
        let deleted = groups.delete(&group_id).await;
        DeletableGroupResult {
            group_id,
            error_code: code(call, deleted),
        }
    });
    DeleteGroupsResponse {
        results: join_all(deletions).await,
        ..Default::default()
    }
}

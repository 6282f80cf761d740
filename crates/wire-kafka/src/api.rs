//! Which APIs there are, and the versions of them that our tables hold.

use std::ops::RangeInclusive;

use crate::message::{Message, Request};
use crate::messages::*;

macro_rules! keys {
    ($($number:literal $name:ident;)*) => {
        /// All of Kafka's API keys (4.2), ours or not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ApiKey {
            $($name = $number,)*
        }

        impl ApiKey {
            /// Every key, in ascending order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Kafka's name of the API.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

keys! {
    0 Produce;
    1 Fetch;
    2 ListOffsets;
    3 Metadata;
    4 LeaderAndIsr;
    5 StopReplica;
    6 UpdateMetadata;
    7 ControlledShutdown;
    8 OffsetCommit;
    9 OffsetFetch;
    10 FindCoordinator;
    11 JoinGroup;
    12 Heartbeat;
    13 LeaveGroup;
    14 SyncGroup;
    15 DescribeGroups;
    16 ListGroups;
    17 SaslHandshake;
    18 ApiVersions;
    19 CreateTopics;
    20 DeleteTopics;
    21 DeleteRecords;
    22 InitProducerId;
    23 OffsetForLeaderEpoch;
    24 AddPartitionsToTxn;
    25 AddOffsetsToTxn;
    26 EndTxn;
    27 WriteTxnMarkers;
    28 TxnOffsetCommit;
    29 DescribeAcls;
    30 CreateAcls;
    31 DeleteAcls;
    32 DescribeConfigs;
    33 AlterConfigs;
    34 AlterReplicaLogDirs;
    35 DescribeLogDirs;
    36 SaslAuthenticate;
    37 CreatePartitions;
    38 CreateDelegationToken;
    39 RenewDelegationToken;
    40 ExpireDelegationToken;
    41 DescribeDelegationToken;
    42 DeleteGroups;
    43 ElectLeaders;
    44 IncrementalAlterConfigs;
    45 AlterPartitionReassignments;
    46 ListPartitionReassignments;
    47 OffsetDelete;
    48 DescribeClientQuotas;
    49 AlterClientQuotas;
    50 DescribeUserScramCredentials;
    51 AlterUserScramCredentials;
    52 Vote;
    53 BeginQuorumEpoch;
    54 EndQuorumEpoch;
    55 DescribeQuorum;
    56 AlterPartition;
    57 UpdateFeatures;
    58 Envelope;
    59 FetchSnapshot;
    60 DescribeCluster;
    61 DescribeProducers;
    62 BrokerRegistration;
    63 BrokerHeartbeat;
    64 UnregisterBroker;
    65 DescribeTransactions;
    66 ListTransactions;
    67 AllocateProducerIds;
    68 ConsumerGroupHeartbeat;
    69 ConsumerGroupDescribe;
    70 ControllerRegistration;
    71 GetTelemetrySubscriptions;
    72 PushTelemetry;
    73 AssignReplicasToDirs;
    74 ListConfigResources;
    75 DescribeTopicPartitions;
    76 ShareGroupHeartbeat;
    77 ShareGroupDescribe;
    78 ShareFetch;
    79 ShareAcknowledge;
    80 AddRaftVoter;
    81 RemoveRaftVoter;
    82 UpdateRaftVoter;
    83 InitializeShareGroupState;
    84 ReadShareGroupState;
    85 WriteShareGroupState;
    86 DeleteShareGroupState;
    87 ReadShareGroupStateSummary;
    88 StreamsGroupHeartbeat;
    89 StreamsGroupDescribe;
    90 DescribeShareGroupOffsets;
    91 AlterShareGroupOffsets;
    92 DeleteShareGroupOffsets;
}

/// Calls the macro `$then` with the table of APIs that have messages; a row is
/// `Key, versions of the tables, versions to advertise, Request => Response;`.
#[macro_export]
macro_rules! for_each_api {
    ($then:ident) => {
        $then! {
            Produce, 3..=13, 0..=13, ProduceRequest => ProduceResponse;
            Fetch, 4..=18, 4..=18, FetchRequest => FetchResponse;
            ListOffsets, 1..=11, 1..=10, ListOffsetsRequest => ListOffsetsResponse;
            Metadata, 0..=13, 0..=13, MetadataRequest => MetadataResponse;
            OffsetCommit, 2..=10, 2..=9, OffsetCommitRequest => OffsetCommitResponse;
            OffsetFetch, 1..=10, 1..=9, OffsetFetchRequest => OffsetFetchResponse;
            FindCoordinator, 0..=6, 0..=6, FindCoordinatorRequest => FindCoordinatorResponse;
            JoinGroup, 0..=9, 0..=9, JoinGroupRequest => JoinGroupResponse;
            Heartbeat, 0..=4, 0..=4, HeartbeatRequest => HeartbeatResponse;
            LeaveGroup, 0..=5, 0..=5, LeaveGroupRequest => LeaveGroupResponse;
            SyncGroup, 0..=5, 0..=5, SyncGroupRequest => SyncGroupResponse;
            DescribeGroups, 0..=6, 0..=6, DescribeGroupsRequest => DescribeGroupsResponse;
            ListGroups, 0..=5, 0..=5, ListGroupsRequest => ListGroupsResponse;
            SaslHandshake, 0..=1, 0..=1, SaslHandshakeRequest => SaslHandshakeResponse;
            ApiVersions, 0..=4, 0..=4, ApiVersionsRequest => ApiVersionsResponse;
            CreateTopics, 2..=7, 2..=7, CreateTopicsRequest => CreateTopicsResponse;
            DeleteTopics, 1..=6, 1..=6, DeleteTopicsRequest => DeleteTopicsResponse;
            DeleteRecords, 0..=2, 0..=2, DeleteRecordsRequest => DeleteRecordsResponse;
            InitProducerId, 0..=5, 0..=5, InitProducerIdRequest => InitProducerIdResponse;
            OffsetForLeaderEpoch, 2..=4, 2..=4, OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse;
            DescribeConfigs, 1..=4, 1..=4, DescribeConfigsRequest => DescribeConfigsResponse;
            AlterConfigs, 0..=2, 0..=2, AlterConfigsRequest => AlterConfigsResponse;
            DescribeLogDirs, 1..=4, 1..=4, DescribeLogDirsRequest => DescribeLogDirsResponse;
            SaslAuthenticate, 0..=2, 0..=2, SaslAuthenticateRequest => SaslAuthenticateResponse;
            CreatePartitions, 0..=3, 0..=3, CreatePartitionsRequest => CreatePartitionsResponse;
            DeleteGroups, 0..=2, 0..=2, DeleteGroupsRequest => DeleteGroupsResponse;
            IncrementalAlterConfigs, 0..=1, 0..=1, IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
            OffsetDelete, 0..=0, 0..=0, OffsetDeleteRequest => OffsetDeleteResponse;
            DescribeCluster, 0..=2, 0..=2, DescribeClusterRequest => DescribeClusterResponse;
            DescribeTopicPartitions, 0..=0, 0..=0, DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse;
        }
    };
}

macro_rules! apis {
    ($($key:ident, $versions:expr, $advertised:expr, $request:ident => $response:ident;)*) => {
        $(
            impl Request for $request {
                const KEY: ApiKey = ApiKey::$key;
                type Response = $response;
            }
        )*

        impl ApiKey {
            /// The versions that our tables hold, up to Kafka 4.2; `None` if we have no messages.
            pub fn valid_versions(self) -> Option<RangeInclusive<i16>> {
                match self {
                    $(Self::$key => Some($versions),)*
                    _ => None,
                }
            }

            /// The versions that Kafka 4.1 advertises, of APIs for which we have messages: what a
            /// server names once it also serves them. Produce begins at 0, since old librdkafka
            /// switches compression off otherwise, although its bodies begin at 3.
            pub fn advertised_versions(self) -> Option<RangeInclusive<i16>> {
                match self {
                    $(Self::$key => Some($advertised),)*
                    _ => None,
                }
            }

            /// Whether `version` is flexible (KIP-482); `false` if we have no messages.
            pub fn is_flexible(self, version: i16) -> bool {
                match self {
                    $(Self::$key => version >= $request::FLEXIBLE_FROM,)*
                    _ => false,
                }
            }
        }
    };
}

for_each_api!(apis);

impl ApiKey {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }
}

/// A key that we do not know gives the number back.
impl TryFrom<i16> for ApiKey {
    type Error = i16;

    fn try_from(code: i16) -> Result<Self, i16> {
        // The keys are dense from 0.
        usize::try_from(code)
            .ok()
            .and_then(|index| Self::ALL.get(index).copied())
            .ok_or(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_by_its_number() {
        for &key in ApiKey::ALL {
            assert_eq!(ApiKey::try_from(key.code()), Ok(key));
        }
        for unknown in [-1, ApiKey::ALL.len() as i16, i16::MIN, i16::MAX] {
            assert_eq!(ApiKey::try_from(unknown), Err(unknown));
        }
    }

    #[test]
    fn what_is_advertised_has_messages() {
        for &key in ApiKey::ALL {
            let (Some(valid), Some(advertised)) = (key.valid_versions(), key.advertised_versions())
            else {
                continue;
            };
            assert!(advertised.end() <= valid.end(), "{key:?}");
            assert!(
                key == ApiKey::Produce || advertised.start() == valid.start(),
                "{key:?}"
            );
        }
        assert_eq!(ApiKey::Produce.advertised_versions(), Some(0..=13));
    }
}

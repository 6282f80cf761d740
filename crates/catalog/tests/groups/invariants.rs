//! Whatever clients do in whatever order, a group stays sound.

use levada_catalog::groups::{Group, GroupCommand, GroupEffect, GroupReply, Join, Leaving, Phase};
use levada_model::TopicId;
use proptest::prelude::*;

use crate::support::*;

const MEMBERS: [&str; 4] = ["a", "b", "c", "d"];
const PROTOCOLS: [&[&str]; 4] = [
    &["range"],
    &["range", "sticky"],
    &["sticky", "range"],
    &["other"],
];

fn member() -> impl Strategy<Value = String> {
    prop::sample::select(&MEMBERS[..]).prop_map(str::to_owned)
}

fn instance() -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(
        0.4,
        prop::sample::select(&["i", "j"][..]).prop_map(str::to_owned),
    )
}

fn group() -> impl Strategy<Value = String> {
    prop_oneof![9 => Just(GROUP.to_owned()), 1 => Just("other".to_owned())]
}

fn joins() -> impl Strategy<Value = GroupCommand> {
    let kind = prop_oneof![9 => Just("consumer"), 1 => Just("connect")];
    let protocols_of = prop::sample::select(&PROTOCOLS[..]);
    let how = (any::<bool>(), any::<bool>(), 1u32..5);
    (group(), member(), instance(), kind, protocols_of, how).prop_map(
        |(group, member, instance, kind, names, (fresh, skip_assignment, members_max))| {
            GroupCommand::Join(Join {
                group,
                fresh,
                instance,
                protocol_type: kind.into(),
                protocols: protocols(names),
                skip_assignment,
                members_max,
                ..join(&member)
            })
        },
    )
}

fn others() -> impl Strategy<Value = GroupCommand> {
    let leaving = (member(), instance(), any::<bool>()).prop_map(|(member, instance, by_id)| {
        let by_id = by_id || instance.is_none();
        Leaving {
            member: if by_id { member } else { String::new() },
            instance,
        }
    });
    let topic = prop::sample::select(&[ORDERS, CLICKS, TopicId::NONE][..]);
    prop_oneof![
        (member(), 0i32..6).prop_map(|(member, generation)| {
            GroupCommand::Sync(sync(
                &member,
                generation,
                &[("a", "1"), ("b", "2"), ("x", "3")],
            ))
        }),
        (group(), prop::collection::vec(leaving, 1..3))
            .prop_map(|(group, members)| GroupCommand::Leave { group, members }),
        (group(), member(), 0i32..6, 0u32..4).prop_map(|(group, member, generation, attempt)| {
            GroupCommand::ExpireMember {
                group,
                member,
                generation,
                attempt,
            }
        }),
        (group(), 0i32..6)
            .prop_map(|(group, generation)| GroupCommand::CompleteRebalance { group, generation }),
        (member(), -1i32..6, topic.clone(), 0i32..5).prop_map(
            |(member, generation, topic, partition)| {
                let member = if generation < 0 {
                    String::new()
                } else {
                    member
                };
                let mut commit = commit(&member, generation);
                commit.offsets.push(offset(topic, partition, 3));
                GroupCommand::CommitOffsets(commit)
            }
        ),
        (group(), topic, 0i32..5).prop_map(|(group, topic, partition)| {
            GroupCommand::DeleteOffsets {
                group,
                partitions: vec![(topic, partition)],
            }
        }),
        group().prop_map(|group| GroupCommand::DeleteGroup { group }),
        (group(), 0u64..20).prop_map(|(group, retention_ms)| GroupCommand::ExpireOffsets {
            group,
            retention_ms,
        }),
    ]
}

pub fn commands(most: usize) -> impl Strategy<Value = Vec<GroupCommand>> {
    prop::collection::vec(prop_oneof![joins(), others()], 0..most)
}

fn check_sound(group: &Group) {
    let members = group.members();
    assert_eq!(
        members.is_empty() && group.phase() != Phase::Preparing { initial: true },
        group.phase() == Phase::Empty
    );
    if let Some(leader) = group.leader() {
        assert!(members.contains_key(leader), "the leader is a member");
    }
    let leads = matches!(group.phase(), Phase::Completing | Phase::Stable);
    assert!(
        !leads || group.leader().is_some(),
        "somebody leads a generation"
    );
    assert!(
        !leads || group.protocol().is_some(),
        "a generation has a protocol"
    );
    if let (true, Some(protocol)) = (leads, group.protocol()) {
        let supports =
            |m: &levada_catalog::groups::Member| m.protocols.iter().any(|own| own.name == protocol);
        assert!(members.values().all(supports), "all support the protocol");
    }
    if group.phase() == (Phase::Preparing { initial: false }) {
        assert!(
            members.values().any(|member| !member.joined),
            "a full round is over"
        );
    }
    if group.phase() == Phase::Completing {
        assert!(members.values().all(|member| member.assignment.is_empty()));
    }
    let instances: Vec<_> = members
        .values()
        .filter_map(|m| m.instance.as_ref())
        .collect();
    let mut unique = instances.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), instances.len(), "an instance has one member");
}

proptest! {
    #[test]
    fn any_sequence_of_commands_leaves_sound_groups(commands in commands(80)) {
        let mut world = World::default();
        for command in commands {
            world.now_ms += 1;
            let name = command.group().to_owned();
            let before = world.table.get(&name).map(Group::generation);
            let phase_before = world.table.get(&name).map(Group::phase);
            let reply = world.apply(command);
            for group in world.table.iter() {
                check_sound(group);
            }
            let after = world.table.get(&name);
            if let (Some(before), Some(after)) = (before, after) {
                prop_assert!(after.generation() >= before, "a generation never falls");
                prop_assert!(after.generation() <= before + 2);
            }
            if let GroupReply::Joined(joined) = &reply {
                let group = after.expect("who joined has a group");
                prop_assert!(group.members().contains_key(&joined.member));
                prop_assert_eq!(joined.round.generation, group.generation());
            }
            if let GroupReply::Waiting { generation } = reply {
                let group = after.expect("who waits has a group");
                prop_assert_eq!(group.generation(), generation);
            }
            let changed = after.map(Group::phase) != phase_before;
            prop_assert!(!changed || !world.effects.is_empty() || before.is_none(),
                "a change of phase is told");
            for effect in &world.effects {
                if let GroupEffect::RoundCompleted { round, .. } = effect {
                    prop_assert!(round.has(&round.leader));
                }
            }
        }
    }
}

//! Kafka's range assignor: of each topic, each subscribed member gets one run of partitions.

use std::collections::BTreeMap;

/// A member as the leader of a generation sees it.
#[derive(Clone, Debug)]
pub struct Subscriber {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub topics: Vec<String>,
}

/// Assigns every partition of every topic that somebody wants; gives sorted partitions by member
/// id, an empty list too. `partitions` are the counts by topic.
pub fn assign_ranges(
    members: &[Subscriber],
    partitions: &BTreeMap<String, i32>,
) -> BTreeMap<String, Vec<(String, i32)>> {
    let mut assigned: BTreeMap<String, Vec<(String, i32)>> = members
        .iter()
        .map(|member| (member.member_id.clone(), Vec::new()))
        .collect();
    for (topic, &count) in partitions {
        let mut wanting: Vec<&Subscriber> = members
            .iter()
            .filter(|member| member.topics.contains(topic))
            .collect();
        // Static members keep their place over restarts, as in Java: those first, by instance id.
        wanting.sort_by_key(|member| {
            let instance = member.instance_id.as_deref();
            (instance.is_none(), instance, member.member_id.as_str())
        });
        let Ok(members) = i32::try_from(wanting.len()) else {
            continue;
        };
        let mut next = 0;
        for (index, member) in (0..members).zip(wanting) {
            let share = count / members + i32::from(index < count % members);
            if let Some(list) = assigned.get_mut(&member.member_id) {
                list.extend((next..next + share).map(|partition| (topic.clone(), partition)));
            }
            next += share;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, instance: Option<&str>, topics: &[&str]) -> Subscriber {
        Subscriber {
            member_id: id.to_owned(),
            instance_id: instance.map(str::to_owned),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        }
    }

    fn counts(topics: &[(&str, i32)]) -> BTreeMap<String, i32> {
        topics
            .iter()
            .map(|(topic, count)| ((*topic).to_owned(), *count))
            .collect()
    }

    fn of(assigned: &BTreeMap<String, Vec<(String, i32)>>, id: &str) -> Vec<String> {
        let list = assigned[id].iter();
        list.map(|(topic, partition)| format!("{topic}{partition}"))
            .collect()
    }

    #[test]
    fn the_first_members_take_what_does_not_divide() {
        let members = [member("b", None, &["t", "u"]), member("a", None, &["t"])];
        let assigned = assign_ranges(&members, &counts(&[("t", 3), ("u", 2)]));
        assert_eq!(of(&assigned, "a"), ["t0", "t1"]);
        assert_eq!(of(&assigned, "b"), ["t2", "u0", "u1"]);
    }

    #[test]
    fn static_members_are_ordered_by_their_instance() {
        let members = [
            member("a", None, &["t"]),
            member("z", Some("1"), &["t"]),
            member("b", Some("2"), &["t"]),
        ];
        let assigned = assign_ranges(&members, &counts(&[("t", 3)]));
        assert_eq!(of(&assigned, "z"), ["t0"]);
        assert_eq!(of(&assigned, "b"), ["t1"]);
        assert_eq!(of(&assigned, "a"), ["t2"]);
    }

    #[test]
    fn more_members_than_partitions_leave_some_idle() {
        let members = [member("a", None, &["t"]), member("b", None, &["t"])];
        let assigned = assign_ranges(&members, &counts(&[("t", 1)]));
        assert_eq!(of(&assigned, "a"), ["t0"]);
        assert!(of(&assigned, "b").is_empty());
    }
}

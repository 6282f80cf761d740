//! Stored forms: commands and rows come back as they were; no byte makes them panic.

use bytes::Bytes;
use levada_catalog::groups::{GroupCommand, GroupTable};
use levada_model::codec::{Decoder, Encoder};
use proptest::prelude::*;

use crate::invariants::commands;
use crate::support::*;

fn rows(table: &GroupTable) -> Vec<Bytes> {
    let row = |group: &levada_catalog::groups::Group| {
        let mut out = Encoder::new();
        group.encode_row(&mut out);
        Bytes::from(out.bytes)
    };
    table.iter().map(row).collect()
}

proptest! {
    #[test]
    fn commands_come_back_as_they_were(commands in commands(10)) {
        for command in commands {
            let mut out = Encoder::new();
            command.encode(&mut out);
            let mut input = Decoder::new(&out.bytes);
            prop_assert_eq!(GroupCommand::decode(&mut input), Ok(command));
            prop_assert_eq!(input.finish(), Ok(()));
        }
    }

    #[test]
    fn a_table_comes_back_from_its_rows(commands in commands(60)) {
        let mut world = World::default();
        for command in commands {
            world.now_ms += 1;
            world.apply(command);
        }
        let mut copy = GroupTable::default();
        for row in rows(&world.table) {
            let mut input = Decoder::new(&row);
            prop_assert_eq!(copy.insert_row(&mut input), Ok(()));
            prop_assert_eq!(input.finish(), Ok(()));
        }
        prop_assert_eq!(copy, world.table);
    }

    #[test]
    fn random_bytes_never_panic(mut bytes: Vec<u8>, ordinal in 0u8..12) {
        let _ = GroupCommand::decode(&mut Decoder::new(&bytes));
        let _ = GroupTable::default().insert_row(&mut Decoder::new(&bytes));
        bytes.insert(0, ordinal);
        let _ = GroupCommand::decode(&mut Decoder::new(&bytes));
        bytes[0] = 1;
        let _ = GroupTable::default().insert_row(&mut Decoder::new(&bytes));
    }
}

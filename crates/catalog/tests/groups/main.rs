//! The rules of classic consumer groups, command by command.

mod invariants;
mod members;
mod offsets;
mod rounds;
mod static_members;
mod stored;
mod support;

//! Frames that no client should send: unknown APIs and versions, cut short, negative, oversized.

use crate::session::Session;

/// A frame: header of the old kind, then `body`.
fn frame(api: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(api.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes.extend(77_i32.to_be_bytes());
    bytes.extend([0, 1, b'x']);
    bytes.extend(body);
    sized(&bytes)
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// The largest count of an array, with nothing behind it.
const HUGE: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];

pub fn run(session: &mut Session) {
    let cases: &[(&str, Vec<u8>)] = &[
        ("ApiVersions v99", frame(18, 99, &[])),
        ("ApiVersions v-1", frame(18, -1, &[])),
        ("Produce v2", frame(0, 2, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("Produce v99", frame(0, 99, &[])),
        ("Fetch v3", frame(1, 3, &[])),
        ("Fetch v99", frame(1, 99, &[])),
        ("Metadata v99", frame(3, 99, &[])),
        ("Metadata v-1", frame(3, -1, &[])),
        ("ListOffsets v0", frame(2, 0, &[])),
        ("OffsetCommit v0", frame(8, 0, &[])),
        ("OffsetFetch v0", frame(9, 0, &[])),
        ("CreateTopics v0", frame(19, 0, &[])),
        ("JoinGroup v99", frame(11, 99, &[])),
        ("LeaderAndIsr v0, gone", frame(4, 0, &[])),
        ("an API of brokers: Vote", frame(52, 0, &[])),
        ("unknown API 999", frame(999, 0, &[])),
        ("unknown API -1", frame(-1, 0, &[])),
        ("length 0", sized(&[])),
        ("a header cut short", sized(&[0, 3, 0])),
        ("negative length", vec![0xff, 0xff, 0xff, 0xff]),
        ("length 2 GiB", vec![0x7f, 0xff, 0xff, 0xff]),
        ("length 101 MiB", 105_906_176_i32.to_be_bytes().to_vec()),
        ("Metadata v1, cut short", frame(3, 1, &[0, 0])),
        ("Metadata v0, a huge count", frame(3, 0, &HUGE)),
        (
            "Metadata v1, a count of -7",
            frame(3, 1, &[0xff, 0xff, 0xff, 0xf9]),
        ),
        (
            "Metadata v1, a string too long",
            frame(3, 1, &[0, 0, 0, 1, 0x7f, 0xff, b'x']),
        ),
        (
            "Metadata v1, not UTF-8",
            frame(3, 1, &[0, 0, 0, 1, 0, 2, 0xff, 0xfe]),
        ),
        (
            "Metadata v1, bytes left over",
            frame(3, 1, &[0, 0, 0, 0, 1, 2, 3]),
        ),
        (
            "Metadata v9, a huge compact count",
            frame(3, 9, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ),
        (
            "Metadata v9, an endless varint",
            frame(3, 9, &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        ("an HTTP request", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("a TLS hello", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
    ];
    for (what, bytes) in cases {
        session.raw(what, bytes);
    }
}

//! The Rust side of `interop/oracle`: gives frames to Apache Kafka's own classes and checks theirs.
//!
//! - `oracle lists` tells our API keys with their versions and our error codes;
//! - `oracle write SEED CASES` writes that many random messages of each version to stdout, before
//!   them one that shows all defaults;
//! - `oracle check` reads such frames from stdin and says for each version how many decode with no
//!   byte left over and encode to the same bytes.
//!
//! A frame here is: its size, the API key, 0 for a request or 1 for an answer, the version, and
//! header with body as they stand on a connection.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use levada_wire_kafka::header::{RequestHeader, ResponseHeader};
use levada_wire_kafka::messages::*;
use levada_wire_kafka::sample::{self, Sample, Source};
use levada_wire_kafka::{
    ApiKey, ErrorCode, KStr, Message, Reader, Request, WireError, Writer, for_each_api,
};

const REQUEST: i8 = 0;
const RESPONSE: i8 = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *words {
        ["lists"] => print_lists(),
        ["write", seed, cases] => match (seed.parse(), cases.parse()) {
            (Ok(seed), Ok(cases)) => write_all(&mut Source::new(seed), cases),
            _ => Err(io::Error::other("seed and cases are numbers")),
        },
        ["check"] => check_all(),
        _ => Err(io::Error::other(
            "usage: oracle lists | write SEED CASES | check",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oracle: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_lists() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for key in ApiKey::ALL {
        write!(out, "api\t{}\t{}", key.code(), key.name())?;
        match key.valid_versions() {
            Some(versions) => writeln!(out, "\t{}\t{}", versions.start(), versions.end())?,
            None => writeln!(out)?,
        }
    }
    for error in ErrorCode::ALL {
        let (code, retriable) = (error.code(), error.is_retriable());
        writeln!(out, "error\t{code}\t{error}\t{retriable}")?;
    }
    Ok(())
}

fn request_header(key: ApiKey, version: i16, correlation_id: i32) -> RequestHeader {
    RequestHeader {
        api_key: key.code(),
        api_version: version,
        correlation_id,
        client_id: (correlation_id % 3 != 0).then(|| KStr::from("oracle")),
    }
}

fn encode_request<M: Request>(header: &RequestHeader, body: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    header.encode(&mut writer);
    body.encode(&mut writer, version);
    writer.finish().into_bytes()
}

fn encode_response<M: Message>(
    header: ResponseHeader,
    body: &M,
    key: ApiKey,
    version: i16,
) -> Bytes {
    let mut writer = Writer::new();
    header.encode(&mut writer, key, version);
    body.encode(&mut writer, version);
    writer.finish().into_bytes()
}

/// The default message first, then random ones.
fn messages<M: Message + Sample>(source: &mut Source, version: i16, cases: u32) -> Vec<M> {
    let random = (0..cases).map(|_| sample::message(source, version));
    std::iter::once(sample::unfolded()).chain(random).collect()
}

fn write_version<M>(source: &mut Source, version: i16, cases: u32) -> io::Result<()>
where
    M: Request + Sample,
    M::Response: Sample,
{
    let mut out = io::stdout().lock();
    let mut put = |kind: i8, body: Bytes| {
        let mut head = BytesMut::new();
        head.put_i32(body.len() as i32);
        head.put_i16(M::KEY.code());
        head.put_i8(kind);
        head.put_i16(version);
        out.write_all(&head).and_then(|()| out.write_all(&body))
    };
    for (case, message) in messages::<M>(source, version, cases).iter().enumerate() {
        let header = request_header(M::KEY, version, case as i32);
        put(REQUEST, encode_request(&header, message, version))?;
    }
    for (case, message) in messages::<M::Response>(source, version, cases)
        .iter()
        .enumerate()
    {
        let header = ResponseHeader {
            correlation_id: case as i32,
        };
        put(RESPONSE, encode_response(header, message, M::KEY, version))?;
    }
    Ok(())
}

/// Decodes a request or an answer and encodes it again.
fn echo<M: Request>(kind: i8, version: i16, bytes: Bytes) -> Result<Bytes, WireError> {
    let mut reader = Reader::new(bytes);
    if kind == REQUEST {
        let header = RequestHeader::decode(&mut reader)?;
        let body = M::decode(&mut reader, version)?;
        reader.expect_end()?;
        Ok(encode_request(&header, &body, version))
    } else {
        let header = ResponseHeader::decode(&mut reader, M::KEY, version)?;
        let body = M::Response::decode(&mut reader, version)?;
        reader.expect_end()?;
        Ok(encode_response(header, &body, M::KEY, version))
    }
}

macro_rules! every_api {
    ($($key:ident, $versions:expr, $advertised:expr, $request:ident => $response:ident;)*) => {
        fn write_all(source: &mut Source, cases: u32) -> io::Result<()> {
            $(for version in $versions {
                write_version::<$request>(source, version, cases)?;
            })*
            Ok(())
        }

        fn echo_any(key: i16, kind: i8, version: i16, bytes: Bytes) -> Option<Result<Bytes, WireError>> {
            match ApiKey::try_from(key) {
                $(Ok(ApiKey::$key) => Some(echo::<$request>(kind, version, bytes)),)*
                _ => None,
            }
        }
    };
}

for_each_api!(every_api);

/// Prints `java-to-rust`, API, version, passed and failed for each version; failures to stderr.
fn check_all() -> io::Result<()> {
    let mut input = Vec::new();
    io::stdin().lock().read_to_end(&mut input)?;
    let mut input = Bytes::from(input);
    let mut counts: BTreeMap<(i16, i16), (u32, u32)> = BTreeMap::new();
    while input.has_remaining() {
        let size = input.try_get_i32()? as usize;
        let (key, kind, version) = (
            input.try_get_i16()?,
            input.try_get_i8()?,
            input.try_get_i16()?,
        );
        let frame = input.split_to(size);
        let count = counts.entry((key, version)).or_default();
        match echo_any(key, kind, version, frame.clone()) {
            Some(Ok(again)) if again == frame => count.0 += 1,
            again => {
                count.1 += 1;
                eprintln!("java-to-rust: API {key} kind {kind} v{version}");
                eprintln!("  given: {frame:02x?}\n  ours:  {again:02x?}");
            }
        }
    }
    let mut out = io::stdout().lock();
    for ((key, version), (passed, failed)) in counts {
        let name = ApiKey::try_from(key).map_or("?", ApiKey::name);
        writeln!(out, "java-to-rust\t{name}\t{version}\t{passed}\t{failed}")?;
    }
    Ok(())
}

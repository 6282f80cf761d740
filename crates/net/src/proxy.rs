//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): what a load balancer
//! tells about the connection that it passes on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE_V2: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, its end included.
const LINE_BYTES_MAX: usize = 107;
/// The longest body of version 2 that is read: addresses and a balancer's extensions.
const BODY_BYTES_MAX: usize = 4096;

/// Both ends of the connection as the client and the balancer saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// Why the first bytes are not a header.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error(
        "the connection does not begin with a PROXY protocol header: send one, or turn the setting `proxy_protocol` off"
    )]
    Missing,
    #[error("the PROXY protocol header is not valid: {0}")]
    Invalid(&'static str),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the header and not a byte more. `None`: the balancer speaks for itself (a health check) or
/// does not know the addresses.
///
/// # Errors
/// [`ProxyError`] when the bytes are no header of version 1 or 2, or the connection ends.
pub async fn read_header<R: AsyncRead + Unpin>(
    stream: &mut R,
) -> Result<Option<Endpoints>, ProxyError> {
    let mut first = [0; SIGNATURE_V2.len()];
    stream.read_exact(&mut first).await?;
    if first == SIGNATURE_V2 {
        return read_v2(stream).await;
    }
    if !first.starts_with(b"PROXY ") {
        return Err(ProxyError::Missing);
    }
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    line.extend_from_slice(&first);
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE_BYTES_MAX {
            return Err(ProxyError::Invalid("the line is too long"));
        }
        // A byte at a time: what follows the line belongs to the protocol above.
        line.push(stream.read_u8().await?);
    }
    parse_v1(&line)
}

fn parse_v1(line: &[u8]) -> Result<Option<Endpoints>, ProxyError> {
    let invalid = || ProxyError::Invalid("the line is not `PROXY TCP4|TCP6 from to port port`");
    let text = std::str::from_utf8(line).map_err(|_| invalid())?;
    let mut words = text.trim_end_matches("\r\n").split(' ').skip(1);
    match words.next() {
        Some("UNKNOWN") => return Ok(None),
        Some("TCP4" | "TCP6") => {}
        _ => return Err(invalid()),
    }
    let mut word = || words.next().ok_or_else(invalid);
    let (from, to, from_port, to_port) = (word()?, word()?, word()?, word()?);
    let address = |ip: &str, port: &str| {
        let ip: IpAddr = ip.parse().map_err(|_| invalid())?;
        let port: u16 = port.parse().map_err(|_| invalid())?;
        Ok::<_, ProxyError>(SocketAddr::new(ip, port))
    };
    Ok(Some(Endpoints {
        source: address(from, from_port)?,
        destination: address(to, to_port)?,
    }))
}

async fn read_v2<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Option<Endpoints>, ProxyError> {
    let command = stream.read_u8().await?;
    let family = stream.read_u8().await?;
    let length = usize::from(stream.read_u16().await?);
    if length > BODY_BYTES_MAX {
        return Err(ProxyError::Invalid("the header is too long"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    match command {
        // LOCAL: the balancer's own connection.
        0x20 => Ok(None),
        0x21 => parse_v2(family, &body),
        _ => Err(ProxyError::Invalid("unknown version or command")),
    }
}

fn parse_v2(family: u8, body: &[u8]) -> Result<Option<Endpoints>, ProxyError> {
    let short = ProxyError::Invalid("the header is too short for its addresses");
    let port = |at: &[u8; 2]| u16::from_be_bytes(*at);
    match family {
        // TCP over IPv4: 4 + 4 + 2 + 2 bytes.
        0x11 => {
            let Some((from, rest)) = body.split_first_chunk::<4>() else {
                return Err(short);
            };
            let Some((to, rest)) = rest.split_first_chunk::<4>() else {
                return Err(short);
            };
            let (from, to) = (Ipv4Addr::from(*from), Ipv4Addr::from(*to));
            ports(rest, from.into(), to.into(), port).ok_or(short)
        }
        // TCP over IPv6: 16 + 16 + 2 + 2 bytes.
        0x21 => {
            let Some((from, rest)) = body.split_first_chunk::<16>() else {
                return Err(short);
            };
            let Some((to, rest)) = rest.split_first_chunk::<16>() else {
                return Err(short);
            };
            let (from, to) = (Ipv6Addr::from(*from), Ipv6Addr::from(*to));
            ports(rest, from.into(), to.into(), port).ok_or(short)
        }
        _ => Ok(None),
    }
}

fn ports(
    bytes: &[u8],
    from: IpAddr,
    to: IpAddr,
    port: impl Fn(&[u8; 2]) -> u16,
) -> Option<Option<Endpoints>> {
    let (from_port, rest) = bytes.split_first_chunk::<2>()?;
    let (to_port, _) = rest.split_first_chunk::<2>()?;
    Some(Some(Endpoints {
        source: SocketAddr::new(from, port(from_port)),
        destination: SocketAddr::new(to, port(to_port)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(mut bytes: &[u8]) -> (Result<Option<Endpoints>, ProxyError>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let result = runtime.block_on(read_header(&mut bytes));
        (result, bytes.len())
    }

    fn header_v2(endpoints: Endpoints, extension: &[u8]) -> Vec<u8> {
        let mut addresses = Vec::new();
        let family = match (endpoints.source.ip(), endpoints.destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                addresses.extend(from.octets());
                addresses.extend(to.octets());
                0x11
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                addresses.extend(from.octets());
                addresses.extend(to.octets());
                0x21
            }
            _ => unreachable!("both of one family"),
        };
        addresses.extend(endpoints.source.port().to_be_bytes());
        addresses.extend(endpoints.destination.port().to_be_bytes());
        addresses.extend(extension);
        let mut header = SIGNATURE_V2.to_vec();
        header.extend([0x21, family]);
        header.extend((addresses.len() as u16).to_be_bytes());
        header.extend(addresses);
        header
    }

    proptest! {
        #[test]
        fn version_2_round_trips_and_leaves_what_follows(
            v6: bool, from: u128, to: u128, from_port: u16, to_port: u16, extension: Vec<u8>,
        ) {
            let ip = |bits: u128| -> IpAddr {
                if v6 { Ipv6Addr::from(bits).into() } else { Ipv4Addr::from(bits as u32).into() }
            };
            let endpoints = Endpoints {
                source: SocketAddr::new(ip(from), from_port),
                destination: SocketAddr::new(ip(to), to_port),
            };
            let mut bytes = header_v2(endpoints, &extension);
            bytes.extend(b"rest");
            let (read, left) = read(&bytes);
            prop_assert_eq!(read.unwrap(), Some(endpoints));
            prop_assert_eq!(left, 4);
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>, family: u8, command: u8) {
            let _ = read(&bytes);
            let _ = read(&[b"PROXY TCP4 ", &bytes[..]].concat());
            let length = (bytes.len() as u16).to_be_bytes();
            let _ = read(&[&SIGNATURE_V2[..], &[command, family], &length, &bytes].concat());
        }
    }

    #[test]
    fn version_1_gives_both_ends_and_leaves_what_follows() {
        let (seen, left) = read(b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 9092\r\nrest");
        let seen = seen.unwrap().unwrap();
        assert_eq!(seen.source, "192.0.2.7:5000".parse().unwrap());
        assert_eq!(seen.destination, "198.51.100.1:9092".parse().unwrap());
        assert_eq!(left, 4);
        assert!(matches!(read(b"PROXY UNKNOWN\r\n").0, Ok(None)));
    }

    #[test]
    fn a_connection_without_a_header_is_told_so() {
        let (seen, _) = read(b"\0\0\0\x10\0\x12\0\x04abcdefgh");
        assert!(matches!(seen, Err(ProxyError::Missing)));
        let (seen, _) = read(&[b"PROXY TCP4 ", &[b'1'; 200][..]].concat());
        assert!(matches!(seen, Err(ProxyError::Invalid(_))));
    }
}

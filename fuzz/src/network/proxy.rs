//! The header that a load balancer puts before a connection's first byte.

use levada_net::proxy::{ProxyError, read_header};

/// Longest header of any version: what stands behind it belongs to the protocol above.
const HEADER_BYTES_MAX: usize = 16 + 4096;

pub fn check(input: &[u8]) {
    let runtime = super::connection::runtime();
    let mut rest = input;
    let found = runtime.block_on(read_header(&mut rest));
    let read = input.len() - rest.len();
    assert!(read <= HEADER_BYTES_MAX, "{read} bytes were read");
    match found {
        Ok(Some(endpoints)) => {
            let families = (endpoints.source.is_ipv4(), endpoints.destination.is_ipv4());
            let is_line = input.starts_with(b"PROXY ");
            assert!(is_line || families.0 == families.1, "{endpoints:?}");
        }
        Ok(None) | Err(ProxyError::Missing | ProxyError::Invalid(_) | ProxyError::Io(_)) => {}
    }
}

//! Signature Version 4, verified (AWS: "Create a signed AWS API request").

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use super::time::{civil_seconds, digits};
use super::{AccessKeys, Identity};
use crate::errors::{Code, Result, SqsError};
use crate::limits::{CLOCK_SKEW_SECONDS_MAX, PRESIGNED_SECONDS_MAX, SIGNED_HEADERS_MAX};
use crate::message::hex;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "sqs";
const TERMINATOR: &str = "aws4_request";
/// All but what RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What a signature covers.
#[derive(Clone, Copy)]
pub struct Signed<'r> {
    pub method: &'r str,
    /// As it was sent, and the query behind it without its `?`.
    pub path: &'r str,
    pub query: &'r str,
    pub headers: &'r HeaderMap,
    pub body: &'r [u8],
}

/// The parts of an Authorization header, or of a presigned address.
struct Claim {
    key_id: String,
    /// `date/region/service/aws4_request`.
    scope: [String; 4],
    signed_headers: Vec<String>,
    signature: Vec<u8>,
    /// `20261127T005900Z`.
    time: String,
    /// Presigned: valid for so long.
    expires_seconds: Option<i64>,
}

/// Who signed a request; `None`: it says nothing about that. `now_ms` is the time here.
///
/// # Errors
/// IncompleteSignature, InvalidClientTokenId, SignatureDoesNotMatch,
/// RequestExpired.
pub fn verify(
    keys: &AccessKeys,
    request: Signed<'_>,
    now_ms: i64,
) -> Result<Option<Arc<Identity>>> {
    let claim = match request.headers.get("authorization") {
        Some(value) => from_header(value.to_str().unwrap_or_default(), request.headers)?,
        None => match from_query(request.query)? {
            Some(claim) => claim,
            None => return Ok(None),
        },
    };
    if claim.scope[2] != SERVICE || claim.scope[3] != TERMINATOR {
        let message = format!("Credential should be scoped to correct service: '{SERVICE}'.");
        return Err(SqsError::new(Code::WrongSignature, message));
    }
    check_headers(&claim, request.headers)?;
    check_time(&claim, now_ms / 1000)?;
    let Some((secret, identity)) = keys.find(&claim.key_id) else {
        let message = "The security token included in the request is invalid.";
        return Err(SqsError::new(Code::UnknownKey, message));
    };
    let canonical = canonical_request(request, &claim.signed_headers);
    let text = string_to_sign(&claim.time, &claim.scope.join("/"), &canonical);
    let key = signing_key(secret, &claim.scope);
    // Compares in constant time.
    let is_right = mac(&key, text.as_bytes()).verify_slice(&claim.signature);
    if is_right.is_err() {
        let message = "The request signature we calculated does not match the signature you \
                       provided. Check your AWS Secret Access Key and signing method.";
        return Err(SqsError::new(Code::WrongSignature, message));
    }
    Ok(Some(Arc::clone(identity)))
}

fn incomplete(what: &str) -> SqsError {
    let message = format!("The signature is not complete: {what}.");
    SqsError::new(Code::IncompleteSignature, message)
}

fn from_header(value: &str, headers: &HeaderMap) -> Result<Claim> {
    let Some(parts) = value.strip_prefix(ALGORITHM) else {
        return Err(incomplete(
            "the Authorization header must begin with AWS4-HMAC-SHA256",
        ));
    };
    let part = |name: &str| {
        let mut parts = parts.split(',').map(str::trim);
        parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    };
    let time = headers
        .get("x-amz-date")
        .and_then(|time| time.to_str().ok());
    claim(
        part("Credential"),
        part("SignedHeaders"),
        part("Signature"),
        time,
        None,
    )
}

fn from_query(query: &str) -> Result<Option<Claim>> {
    let pairs = decoded_pairs(query);
    let part = |name: &str| {
        let found = pairs.iter().find(|(known, _)| known == name.as_bytes());
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    };
    match part("X-Amz-Algorithm") {
        Some(ALGORITHM) => {}
        Some(_) => return Err(incomplete("X-Amz-Algorithm must be AWS4-HMAC-SHA256")),
        None => return Ok(None),
    }
    let expires = part("X-Amz-Expires").and_then(|seconds| seconds.parse().ok());
    let expires = expires.filter(|seconds| (0..=PRESIGNED_SECONDS_MAX).contains(seconds));
    let Some(expires) = expires else {
        return Err(incomplete("X-Amz-Expires must be at most 604800 seconds"));
    };
    claim(
        part("X-Amz-Credential"),
        part("X-Amz-SignedHeaders"),
        part("X-Amz-Signature"),
        part("X-Amz-Date"),
        Some(expires),
    )
    .map(Some)
}

fn claim(
    credential: Option<&str>,
    signed_headers: Option<&str>,
    signature: Option<&str>,
    time: Option<&str>,
    expires_seconds: Option<i64>,
) -> Result<Claim> {
    let credential = credential.ok_or_else(|| incomplete("it needs Credential"))?;
    let mut words = credential.splitn(5, '/').map(str::to_owned);
    let key_id = words.next().unwrap_or_default();
    let scope: Vec<String> = words.collect();
    let Ok(scope) = <[String; 4]>::try_from(scope) else {
        return Err(incomplete(
            "Credential must be KEY/DATE/REGION/sqs/aws4_request",
        ));
    };
    let signed_headers = signed_headers.ok_or_else(|| incomplete("it needs SignedHeaders"))?;
    let signed_headers: Vec<String> = signed_headers.split(';').map(str::to_owned).collect();
    if signed_headers.len() > SIGNED_HEADERS_MAX {
        return Err(incomplete("it names too many headers"));
    }
    let signature = signature.ok_or_else(|| incomplete("it needs Signature"))?;
    let time = time.ok_or_else(|| incomplete("it needs X-Amz-Date"))?;
    Ok(Claim {
        key_id,
        scope,
        signed_headers,
        signature: from_hex(signature).unwrap_or_default(),
        time: time.to_owned(),
        expires_seconds,
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(16 * digit(*high)? + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

/// The host and what says which action at which time must not be changed on the way.
fn check_headers(claim: &Claim, headers: &HeaderMap) -> Result<()> {
    for name in ["host", "x-amz-date", "x-amz-target"] {
        let is_needed = name == "host" || headers.contains_key(name);
        if is_needed && !claim.signed_headers.iter().any(|signed| signed == name) {
            return Err(incomplete(&format!("the header {name} must be signed")));
        }
    }
    Ok(())
}

fn check_time(claim: &Claim, now: i64) -> Result<()> {
    let Some(time) = seconds_of(&claim.time) else {
        return Err(incomplete("X-Amz-Date must look like 20260131T235959Z"));
    };
    if claim.time.get(..8) != Some(claim.scope[0].as_str()) {
        let message = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of \
                       date from HTTP";
        return Err(SqsError::new(Code::WrongSignature, message));
    }
    let skew = CLOCK_SKEW_SECONDS_MAX;
    let too_new = time > now + skew;
    match claim.expires_seconds {
        Some(valid) if now > time + valid => {
            Err(SqsError::new(Code::Expired, "Request has expired."))
        }
        _ if too_new => {
            let message = format!("Signature not yet current: {} is in the future", claim.time);
            Err(SqsError::new(Code::WrongSignature, message))
        }
        None if time < now - skew => {
            let message = format!("Signature expired: {} is more than 15 min. ago", claim.time);
            Err(SqsError::new(Code::WrongSignature, message))
        }
        _ => Ok(()),
    }
}

/// Seconds since 1970 of `YYYYMMDDTHHMMSSZ`.
fn seconds_of(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let is_shaped = bytes.len() == 16 && bytes[8] == b'T' && bytes[15] == b'Z';
    if !is_shaped {
        return None;
    }
    let part = |from: usize, to: usize| digits(text, from, to);
    civil_seconds(
        [part(0, 4)?, part(4, 6)?, part(6, 8)?],
        [part(9, 11)?, part(11, 13)?, part(13, 15)?],
    )
}

/// Names and values of a query, percent-decoded; a plus is a plus here.
fn decoded_pairs(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fields = query.split('&').filter(|field| !field.is_empty());
    let decode = |text: &str| percent_decode_str(text).collect();
    fields
        .map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            (decode(name), decode(value))
        })
        .collect()
}

fn canonical_request(request: Signed<'_>, signed_headers: &[String]) -> Vec<u8> {
    let encode = |bytes: &[u8]| percent_encode(bytes, ENCODED).to_string();
    let mut out = Vec::new();
    let mut line = |parts: &[&[u8]]| {
        for part in parts {
            out.extend_from_slice(part);
        }
        out.push(b'\n');
    };
    line(&[request.method.as_bytes()]);
    // Encoded once more than it was sent, as every service but S3 has it.
    let path: Vec<String> = request
        .path
        .split('/')
        .map(|part| encode(part.as_bytes()))
        .collect();
    line(&[path.join("/").as_bytes()]);
    let mut pairs: Vec<(String, String)> = decoded_pairs(request.query)
        .iter()
        .filter(|(name, _)| name != b"X-Amz-Signature")
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    line(&[pairs.join("&").as_bytes()]);
    for name in signed_headers {
        let values = request.headers.get_all(name.as_str()).iter();
        let values: Vec<Vec<u8>> = values.map(|value| squeezed(value.as_bytes())).collect();
        line(&[name.as_bytes(), b":", &values.join(&b','), b""]);
    }
    line(&[b""]);
    line(&[signed_headers.join(";").as_bytes()]);
    out.extend_from_slice(hex(&Sha256::digest(request.body)).as_bytes());
    out
}

/// A header's value without space around it, and with single spaces within.
fn squeezed(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| *byte == b' ' || *byte == b'\t');
    let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}

fn string_to_sign(time: &str, scope: &str, canonical: &[u8]) -> String {
    let digest = hex(&Sha256::digest(canonical));
    format!("{ALGORITHM}\n{time}\n{scope}\n{digest}")
}

fn mac(key: &[u8], data: &[u8]) -> Hmac<Sha256> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of every length");
    };
    mac.update(data);
    mac
}

fn signing_key(secret: &str, scope: &[String; 4]) -> Vec<u8> {
    let first = format!("AWS4{secret}").into_bytes();
    scope.iter().fold(first, |key, part| {
        mac(&key, part.as_bytes()).finalize().into_bytes().to_vec()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // The published example keys, time and scope of the signing test suite.
    const KEY: &str = "AKIDEXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const TIME: &str = "20150830T123600Z";

    fn scope(service: &str) -> [String; 4] {
        ["20150830", "us-east-1", service, TERMINATOR].map(str::to_owned)
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    /// The signature of an example, which names the service `service`.
    fn example(method: &str, query: &str, headers: &HeaderMap, names: &str) -> String {
        let request = Signed {
            method,
            path: "/",
            query,
            headers,
            body: b"",
        };
        sign(request, names, "service")
    }

    fn sign(request: Signed<'_>, names: &str, service: &str) -> String {
        let names: Vec<String> = names.split(';').map(str::to_owned).collect();
        let canonical = canonical_request(request, &names);
        let scope = scope(service);
        let text = string_to_sign(TIME, &scope.join("/"), &canonical);
        hex(&mac(&signing_key(SECRET, &scope), text.as_bytes())
            .finalize()
            .into_bytes())
    }

    #[test]
    fn the_published_examples_have_their_signatures() {
        let plain = headers(&[("host", "example.amazonaws.com"), ("x-amz-date", TIME)]);
        let names = "host;x-amz-date";
        assert_eq!(
            example("GET", "", &plain, names),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        assert_eq!(
            example("POST", "", &plain, names),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
        assert_eq!(
            example("GET", "Param2=value2&Param1=value1", &plain, names),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
        );
        let spaced = headers(&[
            ("host", "example.amazonaws.com"),
            ("my-header1", " value1"),
            ("my-header2", " \"a   b   c\""),
            ("x-amz-date", TIME),
        ]);
        assert_eq!(
            example("GET", "", &spaced, "host;my-header1;my-header2;x-amz-date"),
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"
        );
    }

    #[test]
    fn times_are_read_as_seconds() {
        assert_eq!(seconds_of("19700101T000000Z"), Some(0));
        assert_eq!(seconds_of(TIME), Some(1_440_938_160));
        assert_eq!(seconds_of("20240229T235959Z"), Some(1_709_251_199));
        for wrong in [
            "",
            "20150830",
            "20151330T123600Z",
            "2015083xT123600Z",
            "+0150830T123600Z",
        ] {
            assert_eq!(seconds_of(wrong), None, "{wrong}");
        }
    }

    fn keys() -> AccessKeys {
        AccessKeys::parse(&format!("{KEY} {SECRET}")).unwrap()
    }

    /// A signed request as a client would send it, changed by `change` before it is verified.
    fn verified(now: i64, change: impl Fn(&mut HeaderMap)) -> Result<String> {
        let mut map = headers(&[
            ("host", "localhost:9324"),
            ("x-amz-date", TIME),
            ("x-amz-target", "AmazonSQS.ListQueues"),
        ]);
        let names = "host;x-amz-date;x-amz-target";
        let signature = {
            let request = Signed {
                method: "POST",
                path: "/",
                query: "",
                headers: &map,
                body: b"{}",
            };
            sign(request, names, SERVICE)
        };
        let credential = format!("{KEY}/{}", scope(SERVICE).join("/"));
        let value = format!(
            "{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        );
        map.insert("authorization", value.parse().unwrap());
        change(&mut map);
        let request = Signed {
            method: "POST",
            path: "/",
            query: "",
            headers: &map,
            body: b"{}",
        };
        let who = verify(&keys(), request, now * 1000)?;
        Ok(who.map_or_else(String::new, |who| who.key_id.clone()))
    }

    #[test]
    fn a_signature_holds_for_its_request_and_time_only() {
        let now = seconds_of(TIME).unwrap();
        let code = |now, change: &dyn Fn(&mut HeaderMap)| verified(now, change).unwrap_err().code;
        assert_eq!(verified(now, |_| ()), Ok(KEY.to_owned()));
        assert_eq!(verified(now - 900, |_| ()), Ok(KEY.to_owned()));
        assert_eq!(code(now + 901, &|_| ()), Code::WrongSignature);
        assert_eq!(code(now - 901, &|_| ()), Code::WrongSignature);
        let target = |map: &mut HeaderMap| {
            map.insert("x-amz-target", "AmazonSQS.DeleteQueue".parse().unwrap());
        };
        assert_eq!(code(now, &target), Code::WrongSignature);
        let replace = |from: &'static str, to: &'static str| {
            move |map: &mut HeaderMap| {
                let value = map["authorization"].to_str().unwrap().replace(from, to);
                map.insert("authorization", value.parse().unwrap());
            }
        };
        assert_eq!(code(now, &replace(KEY, "OTHER")), Code::UnknownKey);
        assert_eq!(code(now, &replace("/sqs/", "/s3/")), Code::WrongSignature);
        assert_eq!(
            code(now, &replace("Signature=", "Signature=0")),
            Code::WrongSignature
        );
        assert_eq!(
            code(now, &replace("Signature=", "S=")),
            Code::IncompleteSignature
        );
        assert_eq!(code(now, &replace("host;", "")), Code::IncompleteSignature);
        assert_eq!(
            code(now, &replace(ALGORITHM, "Basic")),
            Code::IncompleteSignature
        );
        let none = |map: &mut HeaderMap| drop(map.remove("authorization"));
        assert_eq!(verified(now, none), Ok(String::new()));
    }

    #[test]
    fn a_presigned_address_expires() {
        let headers = headers(&[("host", "localhost:9324")]);
        let scope = scope(SERVICE);
        let unsigned = format!(
            "Action=ListQueues&X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={KEY}%2F{}\
             &X-Amz-Date={TIME}&X-Amz-Expires=60&X-Amz-SignedHeaders=host",
            scope.join("%2F")
        );
        let request = |query| Signed {
            method: "GET",
            path: "/",
            query,
            headers: &headers,
            body: b"",
        };
        let signature = sign(request(&unsigned), "host", SERVICE);
        let query = format!("{unsigned}&X-Amz-Signature={signature}");
        let now = seconds_of(TIME).unwrap();
        let at = |seconds: i64| verify(&keys(), request(&query), (now + seconds) * 1000);
        assert_eq!(at(60).unwrap().unwrap().key_id, KEY);
        assert_eq!(at(61).unwrap_err().code, Code::Expired);
        let other = query.replace("ListQueues", "PurgeQueue");
        let refusal = verify(&keys(), request(&other), now * 1000).unwrap_err();
        assert_eq!(refusal.code, Code::WrongSignature);
    }
}

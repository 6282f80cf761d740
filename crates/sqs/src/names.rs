//! Names, addresses and ARNs of queues.

use crate::errors::{Code, Result, SqsError};
use crate::limits::QUEUE_NAME_MAX;

/// The one account that every queue belongs to.
pub const ACCOUNT: &str = "000000000000";
/// How the name of a FIFO queue ends.
pub const FIFO: &str = ".fifo";

/// Checks the name of a queue to be made.
///
/// # Errors
/// InvalidParameterValue.
pub fn check(name: &str, is_fifo: bool) -> Result<()> {
    let stem = name.strip_suffix(FIFO);
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_legal = (1..=QUEUE_NAME_MAX).contains(&name.len())
        && !stem.unwrap_or(name).is_empty()
        && stem.unwrap_or(name).bytes().all(legal);
    let why = match (is_legal, stem.is_some(), is_fifo) {
        (false, ..) => {
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        }
        (true, false, true) => {
            "The name of a FIFO queue can only include alphanumeric characters, \
            hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length."
        }
        (true, true, false) => "A name that ends with .fifo needs the attribute FifoQueue=true.",
        _ => return Ok(()),
    };
    Err(SqsError::new(Code::InvalidParameter, why))
}

/// The address of a queue for a client that reached us as `host`.
pub fn url(host: &str, name: &str) -> String {
    format!("http://{host}/{ACCOUNT}/{name}")
}

/// The queue that a path names: `/000000000000/NAME`. Any account will do: there is one here, and
/// what programs have configured is that of the service, or ElasticMQ's `/queue/NAME`.
pub fn in_path(path: &str) -> Option<&str> {
    let (account, name) = path.strip_prefix('/')?.split_once('/')?;
    let is_account = !account.is_empty() && account.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_account && !name.is_empty() && !name.contains('/')).then_some(name)
}

/// The queue that a QueueUrl names. Its host is not looked at: one queue has many addresses.
///
/// # Errors
/// InvalidAddress for what is no address, QueueDoesNotExist for one that names no queue.
pub fn in_url(url: &str) -> Result<&str> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)),
        None => url.starts_with('/').then_some(url),
    };
    let Some(path) = path else {
        let shown: String = url.chars().take(200).collect();
        let message = format!("The address {shown} is not valid for this endpoint.");
        return Err(SqsError::new(Code::InvalidAddress, message));
    };
    in_path(path).ok_or_else(SqsError::no_queue)
}

pub fn arn(region: &str, name: &str) -> String {
    format!("arn:aws:sqs:{region}:{ACCOUNT}:{name}")
}

/// The queue that an ARN of this region and account names.
pub fn in_arn<'a>(region: &str, arn: &'a str) -> Option<&'a str> {
    let name = arn
        .strip_prefix("arn:aws:sqs:")?
        .strip_prefix(region)?
        .strip_prefix(':')?
        .strip_prefix(ACCOUNT)?
        .strip_prefix(':')?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_queue_is_told_by_its_name() {
        assert!(check("orders-1_x", false).is_ok() && check("orders.fifo", true).is_ok());
        for (name, is_fifo) in [
            ("orders", true),
            ("orders.fifo", false),
            ("", false),
            (".fifo", true),
            ("a.b", false),
            ("ü", false),
        ] {
            assert!(check(name, is_fifo).is_err(), "{name}");
        }
        let long = "x".repeat(QUEUE_NAME_MAX + 1);
        assert!(check(&long, false).is_err() && check(&long[1..], false).is_ok());
    }

    #[test]
    fn addresses_name_their_queue() {
        assert_eq!(in_url(&url("localhost:9324", "q")), Ok("q"));
        assert_eq!(in_url("/000000000000/q.fifo"), Ok("q.fifo"));
        assert_eq!(in_url("http://h/123456789012/q"), Ok("q"));
        assert_eq!(in_url("http://h/queue/q"), Ok("q"));
        assert_eq!(in_url("q").unwrap_err().code, Code::InvalidAddress);
        assert_eq!(in_url("http://h").unwrap_err().code, Code::InvalidAddress);
        for other in [
            "http://h/",
            "http://h//q",
            "http://h/a-b/q",
            "http://h/000000000000/",
            "/000000000000/a/b",
        ] {
            assert_eq!(in_url(other), Err(SqsError::no_queue()), "{other}");
        }
    }

    #[test]
    fn arns_are_of_one_region() {
        let arn = arn("eu-west-1", "q");
        assert_eq!(in_arn("eu-west-1", &arn), Some("q"));
        assert_eq!(in_arn("us-east-1", &arn), None);
        assert_eq!(
            in_arn("eu-west-1", "arn:aws:sqs:eu-west-1:000000000000:"),
            None
        );
    }
}

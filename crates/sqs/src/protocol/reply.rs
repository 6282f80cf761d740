//! The answer's body: an action's result, or a refusal, in the client's protocol.

use super::{Protocol, Writer};
use crate::errors::SqsError;

const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

/// An action's answer. `write` writes the members of its result; `None`: it has none.
pub fn success<W: FnOnce(&mut Writer)>(
    protocol: Protocol,
    action: &str,
    request_id: &str,
    write: Option<W>,
) -> Vec<u8> {
    let mut writer = Writer::new(protocol);
    match (protocol, write) {
        (Protocol::Json, None) => {}
        (Protocol::Json, Some(write)) => writer.structure(write),
        (Protocol::Query, write) => {
            writer.raw(&format!(
                "<?xml version=\"1.0\"?><{action}Response xmlns=\"{NAMESPACE}\">"
            ));
            if let Some(write) = write {
                writer.element(b"<", &format!("{action}Result"));
                write(&mut writer);
                writer.element(b"</", &format!("{action}Result"));
            }
            writer.element(b"<", "ResponseMetadata");
            writer.text("RequestId", request_id);
            writer.element(b"</", "ResponseMetadata");
            writer.element(b"</", &format!("{action}Response"));
        }
    }
    writer.finish()
}

/// A refusal.
pub fn refusal(protocol: Protocol, error: &SqsError, request_id: &str) -> Vec<u8> {
    let mut writer = Writer::new(protocol);
    match protocol {
        Protocol::Json => writer.structure(|writer| {
            let (space, shape) = error.code.shape();
            writer.text("__type", &format!("{space}{shape}"));
            writer.text("message", &error.message);
        }),
        Protocol::Query => {
            writer.raw(&format!(
                "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"{NAMESPACE}\">"
            ));
            writer.element(b"<", "Error");
            writer.text("Type", error.code.fault().name());
            writer.text("Code", &error.code.legacy_text());
            writer.text("Message", &error.message);
            writer.raw("<Detail/></Error>");
            writer.text("RequestId", request_id);
            writer.element(b"</", "ErrorResponse");
        }
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::Code;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_result_has_its_wrapper_in_xml_only() {
        let write = |writer: &mut Writer| writer.text("QueueUrl", "u");
        let json = success(Protocol::Json, "CreateQueue", "r", Some(write));
        assert_eq!(text(json), "{\"QueueUrl\":\"u\"}");
        let xml = success(Protocol::Query, "CreateQueue", "r", Some(write));
        let expected = "<?xml version=\"1.0\"?><CreateQueueResponse \
            xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><CreateQueueResult>\
            <QueueUrl>u</QueueUrl></CreateQueueResult><ResponseMetadata>\
            <RequestId>r</RequestId></ResponseMetadata></CreateQueueResponse>";
        assert_eq!(text(xml), expected);
        let none = success(Protocol::Json, "DeleteQueue", "r", None::<fn(&mut Writer)>);
        assert!(none.is_empty());
    }

    #[test]
    fn a_refusal_has_the_code_of_its_protocol() {
        let error = SqsError::new(Code::QueueDoesNotExist, "none");
        let json: serde_json::Value =
            serde_json::from_slice(&refusal(Protocol::Json, &error, "r")).unwrap();
        assert_eq!(json["__type"], "com.amazonaws.sqs#QueueDoesNotExist");
        let xml = text(refusal(Protocol::Query, &error, "r"));
        assert!(xml.contains("<Code>AWS.SimpleQueueService.NonExistentQueue</Code>"));
        assert!(xml.contains("<Type>Sender</Type>") && xml.ends_with("</ErrorResponse>"));
    }
}

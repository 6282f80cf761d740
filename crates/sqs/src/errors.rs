//! What the service refuses, in both protocols' names.

use levada_engine::queue::QueueError;

/// The outcome of an action.
pub type Result<T> = std::result::Result<T, SqsError>;

/// A refusal as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct SqsError {
    pub code: Code,
    pub message: String,
}

/// Whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Sender,
    Receiver,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Fault::Sender => "Sender",
            Fault::Receiver => "Receiver",
        }
    }
}

const SQS: &str = "com.amazonaws.sqs#";
/// The namespace of errors that every service of theirs has.
const CORAL: &str = "com.amazon.coral.service#";
/// Before the codes that had it in the query protocol.
const LEGACY: &str = "AWS.SimpleQueueService.";

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $space:ident $shape:literal, $($prefix:ident)? $legacy:literal, $status:literal;)*) => {
        /// The kinds of refusals: shape in the JSON protocol, code in the query protocol, HTTP
        /// status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($(#[$doc])* $variant),* }

        impl Code {
            /// Every kind.
            #[cfg(test)]
            const ALL: &[Code] = &[$(Code::$variant),*];

            /// `__type` in the JSON protocol: namespace and shape.
            pub fn shape(self) -> (&'static str, &'static str) {
                match self { $(Self::$variant => ($space, $shape)),* }
            }

            /// The code in the query protocol: prefix and name.
            pub fn legacy(self) -> (&'static str, &'static str) {
                match self { $(Self::$variant => (codes!(@prefix $($prefix)?), $legacy)),* }
            }

            /// The HTTP status, the same in both.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }
        }
    };
    (@prefix) => { "" };
    (@prefix $prefix:ident) => { $prefix };
}

codes! {
    QueueDoesNotExist = SQS "QueueDoesNotExist", LEGACY "NonExistentQueue", 400;
    QueueNameExists = SQS "QueueNameExists", "QueueAlreadyExists", 400;
    QueueDeletedRecently = SQS "QueueDeletedRecently", LEGACY "QueueDeletedRecently", 400;
    PurgeQueueInProgress = SQS "PurgeQueueInProgress", LEGACY "PurgeQueueInProgress", 403;
    OverLimit = SQS "OverLimit", "OverLimit", 403;
    UnsupportedOperation = SQS "UnsupportedOperation", LEGACY "UnsupportedOperation", 400;
    NoResource = SQS "ResourceNotFoundException", "ResourceNotFoundException", 404;
    ReceiptHandleIsInvalid = SQS "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404;
    MessageNotInflight = SQS "MessageNotInflight", LEGACY "MessageNotInflight", 400;
    InvalidMessageContents = SQS "InvalidMessageContents", "InvalidMessageContents", 400;
    BatchRequestTooLong = SQS "BatchRequestTooLong", LEGACY "BatchRequestTooLong", 400;
    TooManyEntries = SQS "TooManyEntriesInBatchRequest", LEGACY "TooManyEntriesInBatchRequest", 400;
    EmptyBatch = SQS "EmptyBatchRequest", LEGACY "EmptyBatchRequest", 400;
    BatchEntryIdsNotDistinct = SQS "BatchEntryIdsNotDistinct", LEGACY "BatchEntryIdsNotDistinct", 400;
    InvalidBatchEntryId = SQS "InvalidBatchEntryId", LEGACY "InvalidBatchEntryId", 400;
    InvalidAttributeName = SQS "InvalidAttributeName", "InvalidAttributeName", 400;
    InvalidAttributeValue = SQS "InvalidAttributeValue", "InvalidAttributeValue", 400;
    InvalidAddress = SQS "InvalidAddress", "InvalidAddress", 404;
    InvalidParameter = CORAL "InvalidParameterValueException", "InvalidParameterValue", 400;
    MissingParameter = CORAL "MissingRequiredParameterException", "MissingParameter", 400;
    UnknownAction = CORAL "UnknownOperationException", "InvalidAction", 400;
    /// The body is not what its type says.
    Malformed = CORAL "SerializationException", "MalformedInput", 400;
    TooLarge = CORAL "RequestEntityTooLargeException", "RequestEntityTooLarge", 413;
    WrongMethod = CORAL "UnsupportedMethodException", "UnsupportedMethod", 405;
    Slow = CORAL "RequestTimeoutException", "RequestTimeout", 408;
    MissingToken = CORAL "MissingAuthenticationTokenException", "MissingAuthenticationToken", 403;
    IncompleteSignature = CORAL "IncompleteSignatureException", "IncompleteSignature", 400;
    UnknownKey = CORAL "UnrecognizedClientException", "InvalidClientTokenId", 403;
    WrongSignature = CORAL "InvalidSignatureException", "SignatureDoesNotMatch", 403;
    AccessDenied = CORAL "AccessDeniedException", "AccessDenied", 403;
    Expired = CORAL "RequestExpiredException", "RequestExpired", 400;
    /// Try again: storage is not there right now.
    Unavailable = CORAL "ServiceUnavailableException", "ServiceUnavailable", 503;
}

impl Code {
    pub fn fault(self) -> Fault {
        match self.status() {
            500.. => Fault::Receiver,
            _ => Fault::Sender,
        }
    }

    /// The query protocol's code as one text.
    pub fn legacy_text(self) -> String {
        let (prefix, name) = self.legacy();
        format!("{prefix}{name}")
    }
}

impl SqsError {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A value that a parameter cannot have, in the service's own sentence.
    pub fn value(value: impl std::fmt::Display, parameter: &str, reason: &str) -> Self {
        // Receipt handles and policies are long, and a refusal is also logged by clients.
        let shown: String = value.to_string().chars().take(200).collect();
        let message =
            format!("Value {shown} for parameter {parameter} is invalid. Reason: {reason}");
        Self::new(Code::InvalidParameter, message)
    }

    pub fn missing(parameter: &str) -> Self {
        let message = format!("The request must contain the parameter {parameter}.");
        Self::new(Code::MissingParameter, message)
    }

    pub fn no_queue() -> Self {
        Self::new(
            Code::QueueDoesNotExist,
            "The specified queue does not exist.",
        )
    }

    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Code::Malformed, message)
    }
}

impl From<QueueError> for SqsError {
    fn from(error: QueueError) -> Self {
        let message = error.to_string();
        let code = match error {
            QueueError::Unknown => return Self::no_queue(),
            QueueError::Invalid(_) => Code::InvalidParameter,
            QueueError::TooLarge { max, .. } => return too_long(max),
            QueueError::InvalidReceipt => {
                let message = "The input receipt handle is invalid.";
                return Self::new(Code::ReceiptHandleIsInvalid, message);
            }
            QueueError::NotInFlight => {
                let message = "The message referred to isn't in flight.";
                return Self::new(Code::MessageNotInflight, message);
            }
            QueueError::HiddenTooLong => {
                let message = "Value for parameter VisibilityTimeout is invalid. Reason: Total \
                               VisibilityTimeout for the message is beyond the limit [43200 seconds]";
                return Self::new(Code::InvalidParameter, message);
            }
            QueueError::TooManyInFlight | QueueError::TooManyDelayed => Code::OverLimit,
            QueueError::PurgeInProgress => Code::PurgeQueueInProgress,
            QueueError::Storage(_) => Code::Unavailable,
        };
        Self::new(code, message)
    }
}

/// A message that is longer than its queue takes.
pub fn too_long(bytes_max: usize) -> SqsError {
    let reason = format!("Message must be shorter than {bytes_max} bytes.");
    let message = format!("One or more parameters are invalid. Reason: {reason}");
    SqsError::new(Code::InvalidParameter, message)
}

/// A queue named by its ARN, or a task named by its handle, that is not there.
pub fn no_resource() -> SqsError {
    let message = "The resource that you specified doesn't exist.";
    SqsError::new(Code::NoResource, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_both_names_and_its_status() {
        let code = Code::QueueDoesNotExist;
        assert_eq!(code.shape(), ("com.amazonaws.sqs#", "QueueDoesNotExist"));
        assert_eq!(
            code.legacy_text(),
            "AWS.SimpleQueueService.NonExistentQueue"
        );
        assert_eq!((code.status(), code.fault()), (400, Fault::Sender));
        assert_eq!(Code::QueueNameExists.legacy_text(), "QueueAlreadyExists");
        assert_eq!(Code::Unavailable.fault(), Fault::Receiver);
    }

    #[test]
    fn a_visibility_beyond_twelve_hours_is_a_wrong_parameter() {
        let error = SqsError::from(QueueError::HiddenTooLong);
        assert_eq!(error.code, Code::InvalidParameter);
        assert!(error.message.contains("beyond the limit [43200 seconds]"));
    }

    #[test]
    fn no_two_kinds_share_a_code() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.shape()), "{code:?}");
        }
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.legacy()), "{code:?}");
        }
    }
}

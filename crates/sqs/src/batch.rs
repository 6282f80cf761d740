//! What the four batches share: their rules, and how an entry that failed is told.

use crate::errors::{Code, Fault, Result, SqsError};
use crate::limits::{BATCH_ENTRIES_MAX, LABEL_MAX};
use crate::protocol::{Fields, Name, Writer};

const SUCCESSFUL: &str = "Successful";
const FAILED: Name = Name::new("Failed", "BatchResultErrorEntry");

/// The entries of a batch with their ids.
///
/// # Errors
/// EmptyBatchRequest, TooManyEntriesInBatchRequest, InvalidBatchEntryId, BatchEntryIdsNotDistinct.
pub fn entries<'v>(fields: Fields<'v>, query: &'static str) -> Result<Vec<(String, Fields<'v>)>> {
    let entries = fields.list(Name::new("Entries", query))?;
    if entries.is_empty() {
        let message = format!("There should be at least one {query} in the request.");
        return Err(SqsError::new(Code::EmptyBatch, message));
    }
    if entries.len() > BATCH_ENTRIES_MAX {
        let message = format!(
            "Maximum number of entries per request are {BATCH_ENTRIES_MAX}. You have sent {}.",
            entries.len()
        );
        return Err(SqsError::new(Code::TooManyEntries, message));
    }
    let mut named: Vec<(String, Fields<'v>)> = Vec::with_capacity(entries.len());
    for entry in entries {
        let id = entry.text("Id")?.unwrap_or_default();
        if !is_label(&id) {
            let message = "A batch entry id can only contain alphanumeric characters, hyphens and \
                           underscores. It can be at most 80 letters long.";
            return Err(SqsError::new(Code::InvalidBatchEntryId, message));
        }
        if named.iter().any(|(known, _)| *known == id) {
            let message = format!("Id {id} repeated.");
            return Err(SqsError::new(Code::BatchEntryIdsNotDistinct, message));
        }
        named.push((id, entry));
    }
    Ok(named)
}

/// An id of a batch entry, a label of a permission.
pub fn is_label(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LABEL_MAX).contains(&text.len()) && text.bytes().all(legal)
}

/// How the entries of a batch came out.
pub struct Outcome<T> {
    /// The element of an entry that went well, in a form's XML.
    element: &'static str,
    successful: Vec<(String, T)>,
    failed: Vec<(String, SqsError)>,
}

impl<T> Outcome<T> {
    pub fn new(element: &'static str) -> Self {
        Self {
            element,
            successful: Vec::new(),
            failed: Vec::new(),
        }
    }

    pub fn add(&mut self, id: String, result: Result<T>) {
        match result {
            Ok(value) => self.successful.push((id, value)),
            Err(error) => self.failed.push((id, error)),
        }
    }

    /// The entries that could be read, with their ids apart; the others have failed.
    pub fn sort<E>(
        element: &'static str,
        entries: Vec<(String, Result<E>)>,
    ) -> (Self, Vec<String>, Vec<E>) {
        let mut outcome = Self::new(element);
        let (mut ids, mut good) = (Vec::new(), Vec::new());
        for (id, entry) in entries {
            match entry {
                Ok(entry) => {
                    ids.push(id);
                    good.push(entry);
                }
                Err(error) => outcome.add(id, Err(error)),
            }
        }
        (outcome, ids, good)
    }

    /// Adds what became of the entries of these ids.
    ///
    /// # Errors
    /// QueueDoesNotExist, which is told of the whole batch.
    pub fn close<R>(
        mut self,
        ids: Vec<String>,
        results: impl IntoIterator<Item = R>,
        read: impl Fn(R) -> Result<T>,
    ) -> Result<Self> {
        for (id, result) in ids.into_iter().zip(results) {
            match read(result) {
                Err(error) if error.code == Code::QueueDoesNotExist => return Err(error),
                result => self.add(id, result),
            }
        }
        Ok(self)
    }

    pub fn write_with(&self, writer: &mut Writer, mut write: impl FnMut(&mut Writer, &T)) {
        let name = Name::new(SUCCESSFUL, self.element);
        writer.list(name, &self.successful, |writer, (id, value)| {
            writer.text("Id", id);
            write(writer, value);
        });
        writer.list(FAILED, &self.failed, |writer, (id, error)| {
            writer.text("Id", id);
            writer.flag("SenderFault", error.code.fault() == Fault::Sender);
            writer.text("Code", &error.code.legacy_text());
            writer.text("Message", &error.message);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Protocol, json};
    use bytes::Bytes;

    fn code(ids: &[&str]) -> Option<Code> {
        let entries: Vec<_> = ids.iter().map(|id| serde_json::json!({"Id": id})).collect();
        let body = Bytes::from(serde_json::json!({"Entries": entries}).to_string());
        let value = json::decode(&body).unwrap();
        let fields = Fields::new(&value, Protocol::Json, &body);
        super::entries(fields, "Entry")
            .err()
            .map(|error| error.code)
    }

    #[test]
    fn a_batch_has_one_to_ten_entries_with_distinct_ids() {
        let ids: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert_eq!(code(&ids[..10]), None);
        assert_eq!(code(&ids), Some(Code::TooManyEntries));
        assert_eq!(code(&[]), Some(Code::EmptyBatch));
        assert_eq!(code(&["a", "a"]), Some(Code::BatchEntryIdsNotDistinct));
        for wrong in ["", "a:b", &"x".repeat(81)] {
            assert_eq!(code(&[wrong]), Some(Code::InvalidBatchEntryId));
        }
    }
}

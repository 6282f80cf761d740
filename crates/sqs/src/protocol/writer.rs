//! What an action writes, in either protocol. Empty lists and maps are left out, as the service
//! does: clients ask whether `Failed` is there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fields::Pair;
use super::query::escape;
use super::{Name, Protocol};

/// Room for the answer to a batch; most are not larger.
const OUT_BYTES: usize = 2048;

/// Writes one structure after the other.
pub struct Writer {
    out: Vec<u8>,
    protocol: Protocol,
    /// JSON: the next member is the first of its structure.
    is_first: bool,
}

impl Writer {
    pub fn new(protocol: Protocol) -> Self {
        Self {
            out: Vec::with_capacity(OUT_BYTES),
            protocol,
            is_first: true,
        }
    }

    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// A text member.
    pub fn text(&mut self, name: &'static str, text: &str) {
        self.member(name, |writer| writer.string(text));
    }

    /// A text member, if there is one.
    pub fn maybe(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// Bytes, in base64.
    pub fn blob(&mut self, name: &'static str, bytes: &[u8]) {
        self.text(name, &STANDARD.encode(bytes));
    }

    pub fn number(&mut self, name: &'static str, number: u64) {
        self.member(name, |writer| writer.raw(&number.to_string()));
    }

    pub fn flag(&mut self, name: &'static str, value: bool) {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.member(name, |writer| writer.out.extend_from_slice(text));
    }

    /// A list of texts.
    pub fn texts<T: AsRef<str>>(&mut self, name: Name, texts: &[T]) {
        self.items(name, texts, |writer, text| writer.string(text.as_ref()));
    }

    /// A list of structures.
    pub fn list<T>(&mut self, name: Name, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.items(name, items, |writer, item| {
            writer.structure(|writer| write(writer, item));
        });
    }

    /// A map to texts.
    pub fn pairs<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        name: Name,
        pair: Pair,
        items: &[(K, V)],
    ) {
        self.map(name, pair, items, |writer, value| {
            writer.string(value.as_ref())
        });
    }

    /// A map to structures.
    pub fn structures<K: AsRef<str>, V>(
        &mut self,
        name: Name,
        pair: Pair,
        items: &[(K, V)],
        mut write: impl FnMut(&mut Self, &V),
    ) {
        self.map(name, pair, items, |writer, value| {
            writer.structure(|writer| write(writer, value));
        });
    }

    /// The structure's braces around what `write` writes; XML has none.
    pub(crate) fn structure(&mut self, write: impl FnOnce(&mut Self)) {
        if self.protocol == Protocol::Query {
            return write(self);
        }
        let outer = std::mem::replace(&mut self.is_first, true);
        self.out.push(b'{');
        write(self);
        self.out.push(b'}');
        self.is_first = outer;
    }

    fn items<T>(&mut self, name: Name, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        if items.is_empty() {
            return;
        }
        if self.protocol == Protocol::Query {
            for item in items {
                self.member(name.query, |writer| write(writer, item));
            }
            return;
        }
        self.member(name.json, |writer| {
            writer.out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    writer.out.push(b',');
                }
                write(writer, item);
            }
            writer.out.push(b']');
        });
    }

    fn map<K: AsRef<str>, V>(
        &mut self,
        name: Name,
        pair: Pair,
        items: &[(K, V)],
        mut write: impl FnMut(&mut Self, &V),
    ) {
        if items.is_empty() {
            return;
        }
        if self.protocol == Protocol::Query {
            for (key, value) in items {
                self.member(name.query, |writer| {
                    writer.text(pair.key, key.as_ref());
                    writer.member(pair.value, |writer| write(writer, value));
                });
            }
            return;
        }
        self.member(name.json, |writer| {
            writer.structure(|writer| {
                for (key, value) in items {
                    writer.member(key.as_ref(), |writer| write(writer, value));
                }
            });
        });
    }

    fn member(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        match self.protocol {
            Protocol::Json => {
                if !std::mem::replace(&mut self.is_first, false) {
                    self.out.push(b',');
                }
                self.string(name);
                self.out.push(b':');
                write(self);
            }
            Protocol::Query => {
                self.element(b"<", name);
                write(self);
                self.element(b"</", name);
            }
        }
    }

    /// Names of elements are ours, never a client's.
    pub(crate) fn element(&mut self, open: &[u8], name: &str) {
        self.out.extend_from_slice(open);
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
    }

    pub(crate) fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, text: &str) {
        match self.protocol {
            // A vector takes every byte: there is no error to tell.
            Protocol::Json => drop(serde_json::to_writer(&mut self.out, text)),
            Protocol::Query => escape(text, &mut self.out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::NAME_VALUE;
    use super::*;

    fn sample(writer: &mut Writer) {
        writer.text("Id", "a\"<");
        writer.flag("SenderFault", true);
        writer.maybe("Gone", None);
        writer.texts(Name::new("QueueUrls", "QueueUrl"), &["x", "y"]);
        writer.texts::<&str>(Name::new("Empty", "Empty"), &[]);
        let pairs = [("A", "1"), ("B", "2")];
        writer.pairs(Name::new("Attributes", "Attribute"), NAME_VALUE, &pairs);
        writer.list(Name::new("Entries", "Entry"), &[1, 2], |writer, number| {
            writer.text("N", &number.to_string());
            writer.blob("B", &[0, 1]);
        });
        let name = Name::new("MessageAttributes", "MessageAttribute");
        writer.structures(name, NAME_VALUE, &[("k", "v")], |writer, value| {
            writer.text("StringValue", value);
        });
    }

    fn written(protocol: Protocol) -> String {
        let mut writer = Writer::new(protocol);
        writer.structure(sample);
        String::from_utf8(writer.finish()).unwrap()
    }

    #[test]
    fn json_is_valid_and_complete() {
        let value: serde_json::Value = serde_json::from_str(&written(Protocol::Json)).unwrap();
        let expected = serde_json::json!({
            "Id": "a\"<", "SenderFault": true, "QueueUrls": ["x", "y"],
            "Attributes": {"A": "1", "B": "2"},
            "Entries": [{"N": "1", "B": "AAE="}, {"N": "2", "B": "AAE="}],
            "MessageAttributes": {"k": {"StringValue": "v"}},
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn xml_repeats_the_element_of_a_list() {
        let expected = "<Id>a&quot;&lt;</Id><SenderFault>true</SenderFault>\
            <QueueUrl>x</QueueUrl><QueueUrl>y</QueueUrl>\
            <Attribute><Name>A</Name><Value>1</Value></Attribute>\
            <Attribute><Name>B</Name><Value>2</Value></Attribute>\
            <Entry><N>1</N><B>AAE=</B></Entry><Entry><N>2</N><B>AAE=</B></Entry>\
            <MessageAttribute><Name>k</Name><Value><StringValue>v</StringValue></Value>\
            </MessageAttribute>";
        assert_eq!(written(Protocol::Query), expected);
    }
}

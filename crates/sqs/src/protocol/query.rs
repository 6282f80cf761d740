//! The older protocol: a form whose names spell a tree (`Attribute.1.Name`), XML back.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::Value;
use crate::errors::{Result, SqsError};
use crate::limits::{FIELD_NAME_BYTES_MAX, VALUE_DEPTH_MAX, VALUES_MAX};

/// Names and values of a form or of an address' query, in their order, decoded. Bytes that are no
/// UTF-8 are refused: replacing them would change a message.
///
/// # Errors
/// MalformedInput.
pub fn pairs(form: &[u8]) -> Result<Vec<(String, String)>> {
    let fields = form.split(|byte| *byte == b'&').filter(|f| !f.is_empty());
    let mut pairs = Vec::new();
    for field in fields {
        if pairs.len() == VALUES_MAX {
            return Err(SqsError::malformed("The request has too many fields."));
        }
        let equals = field.iter().position(|byte| *byte == b'=');
        let (name, value) = match equals {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, &[][..]),
        };
        pairs.push((text(name)?, text(value)?));
    }
    Ok(pairs)
}

fn text(encoded: &[u8]) -> Result<String> {
    let spaced: Cow<'_, [u8]> = if encoded.contains(&b'+') {
        let space = |byte: &u8| if *byte == b'+' { b' ' } else { *byte };
        Cow::Owned(encoded.iter().map(space).collect())
    } else {
        Cow::Borrowed(encoded)
    };
    let decoded = percent_decode(&spaced).decode_utf8();
    let decoded = decoded.map_err(|_| SqsError::malformed("A field is not UTF-8."))?;
    Ok(decoded.into_owned())
}

/// The tree that the names spell. Of a name that is there twice the last one counts.
///
/// # Errors
/// MalformedInput: names that are too deep, or that are a value and a structure at once.
pub fn tree(pairs: Vec<(String, String)>) -> Result<Value<'static>> {
    let mut root = Value::Map(Vec::new());
    for (name, value) in pairs {
        if name.len() > FIELD_NAME_BYTES_MAX {
            return Err(SqsError::malformed("A field's name is too long."));
        }
        let mut place = &mut root;
        for (depth, part) in name.split('.').enumerate() {
            if depth >= VALUE_DEPTH_MAX {
                return Err(SqsError::malformed("A field's name is too deep."));
            }
            place = child(place, part).ok_or_else(|| {
                let shown: String = name.chars().take(100).collect();
                SqsError::malformed(format!("{shown} is a value and a structure."))
            })?;
        }
        if matches!(place, Value::Map(members) if !members.is_empty()) {
            return Err(SqsError::malformed("A field is a value and a structure."));
        }
        *place = Value::Text(Cow::Owned(value));
    }
    Ok(root)
}

/// The member of this name, made if it is not there; `None` if `place` holds a text already.
fn child<'p>(place: &'p mut Value<'static>, name: &str) -> Option<&'p mut Value<'static>> {
    let Value::Map(members) = place else {
        return None;
    };
    // From the end: what belongs together mostly stands together.
    let at = match members.iter().rposition(|(known, _)| known == name) {
        Some(at) => at,
        None => {
            members.push((Cow::Owned(name.to_owned()), Value::Map(Vec::new())));
            members.len() - 1
        }
    };
    members.get_mut(at).map(|(_, value)| value)
}

/// Writes a text into XML.
pub(crate) fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| needs_escape(c)) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = special.chars();
        match chars.next() {
            Some('&') => out.extend_from_slice(b"&amp;"),
            Some('<') => out.extend_from_slice(b"&lt;"),
            Some('>') => out.extend_from_slice(b"&gt;"),
            Some('"') => out.extend_from_slice(b"&quot;"),
            // A reader of XML would make it a line's end.
            Some('\r') => out.extend_from_slice(b"&#xD;"),
            // XML 1.0 has no way to write it.
            _ => out.extend_from_slice("\u{fffd}".as_bytes()),
        }
        rest = chars.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

fn needs_escape(c: char) -> bool {
    matches!(c, '&' | '<' | '>' | '"')
        || (c < ' ' && c != '\t' && c != '\n')
        || ('\u{fffe}'..='\u{ffff}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::Code;
    use proptest::prelude::*;

    fn read(form: &str) -> Result<Value<'static>> {
        tree(pairs(form.as_bytes())?)
    }

    #[test]
    fn names_spell_a_tree() {
        let form =
            "Action=SendMessage&Attribute.1.Name=Color&Attribute.1.Value.StringValue=dark+red%21";
        let value = read(form).unwrap();
        let first = value.member("Attribute").unwrap().member("1").unwrap();
        assert_eq!(first.member("Name"), Some(&Value::Text("Color".into())));
        let text = first.member("Value").unwrap().member("StringValue");
        assert_eq!(text, Some(&Value::Text("dark red!".into())));
    }

    #[test]
    fn contradictions_depth_and_other_encodings_are_refused() {
        let deep = ["a"; 40].join(".");
        let many = "a=1&".repeat(VALUES_MAX + 1);
        for wrong in ["a=1&a.b=2", "a.b=2&a=1", "a=%ff", &deep, &many] {
            assert_eq!(read(wrong).unwrap_err().code, Code::Malformed, "{wrong}");
        }
        assert_eq!(
            read("a=1&a=2").unwrap().member("a"),
            Some(&Value::Text("2".into()))
        );
        assert_eq!(read("&&").unwrap(), Value::Map(Vec::new()));
    }

    #[test]
    fn xml_keeps_what_it_can_write() {
        let mut out = Vec::new();
        escape("a<b & \"c\"\r\n\t\u{1}\u{ffff}ü", &mut out);
        let written = String::from_utf8(out).unwrap();
        assert_eq!(
            written,
            "a&lt;b &amp; &quot;c&quot;&#xD;\n\t\u{fffd}\u{fffd}ü"
        );
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = pairs(&bytes).and_then(tree);
        }
    }
}

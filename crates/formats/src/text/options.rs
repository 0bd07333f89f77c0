//! Values that several text formats take as options: characters, compressions, encodings.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One ASCII character, written as text: `";"`, `"\t"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Character(u8);

impl Character {
    /// A comma.
    pub const COMMA: Self = Self(b',');
    /// A dot.
    pub const DOT: Self = Self(b'.');

    /// This byte, if it is an ASCII character that does not end lines.
    pub fn new(byte: u8) -> Option<Self> {
        (byte.is_ascii() && byte != b'\n' && byte != b'\r').then_some(Self(byte))
    }

    /// As a byte.
    pub fn byte(self) -> u8 {
        self.0
    }

    fn read<E: serde::de::Error>(text: &str) -> Result<Self, E> {
        let made = match text.as_bytes() {
            [byte] => Self::new(*byte),
            _ => None,
        };
        made.ok_or_else(|| E::custom(format!("expected one ASCII character, found \"{text}\"")))
    }
}

impl fmt::Display for Character {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\t' => f.write_str("a tab"),
            byte => write!(f, "`{}`", byte as char),
        }
    }
}

impl<'de> Deserialize<'de> for Character {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(deserializer)?)
    }
}

impl Serialize for Character {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_char(self.0 as char)
    }
}

impl JsonSchema for Character {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Character".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "minLength": 1, "maxLength": 1, "examples": [";"] })
    }
}

/// The quote character, or `""` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote(pub Option<Character>);

impl Default for Quote {
    fn default() -> Self {
        Self(Some(Character(b'"')))
    }
}

impl<'de> Deserialize<'de> for Quote {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "" => Ok(Self(None)),
            text => Character::read(text).map(|character| Self(Some(character))),
        }
    }
}

impl Serialize for Quote {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(character) => character.serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }
}

impl JsonSchema for Quote {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Quote".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "maxLength": 1, "examples": ["\"", ""] })
    }
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// By the first bytes of the file; a name that ends in `.gz` or `.zst` must keep what it promises.
    #[default]
    Auto,
    /// Not compressed.
    None,
    /// Gzip, of one or several members.
    Gzip,
    /// Zstandard, of one or several frames, with a window of at most 128 MiB.
    Zstd,
}

/// A character encoding, by one of the labels of the WHATWG encoding standard: `"utf-8"`, `"latin1"`, `"utf-16"`.
///
/// As in that standard, `latin1` and `iso-8859-1` mean Windows-1252.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding(pub(crate) &'static encoding_rs::Encoding);

impl Encoding {
    /// The encoding with this label.
    pub fn named(label: &str) -> Option<Self> {
        encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()).map(Self)
    }
}

impl<'de> Deserialize<'de> for Encoding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let label = String::deserialize(deserializer)?;
        Self::named(&label).ok_or_else(|| {
            D::Error::custom(format!(
                "there is no encoding `{label}`: write one such as \"utf-8\", \"latin1\", \"windows-1251\", \"utf-16le\" or \"shift_jis\""
            ))
        })
    }
}

impl Serialize for Encoding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.name().to_ascii_lowercase())
    }
}

impl JsonSchema for Encoding {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Encoding".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["utf-8", "latin1", "utf-16"] })
    }
}

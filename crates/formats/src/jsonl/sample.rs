//! Finding the columns of a JSON lines file and their types in its head.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema};
use dataflow_core::{Error, Result};

use super::JsonlOptions;
use super::json::{Json, Wrong};
use crate::Inspected;
use crate::guess::Guess;
use crate::text::input::TextInput;

/// How much text the types are found in at most, and how much is read at a time.
const SAMPLE: usize = 8 << 20;
const SAMPLE_STEP: usize = 256 << 10;

/// An object inside a row with more keys is data rather than structure: it becomes text.
const MOST_KEYS: usize = 512;

/// So does what is nested deeper.
const MOST_DEPTH: usize = 32;

/// How floats that JSON has no number for are written; among numbers, they are ones.
const NO_NUMBERS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];

/// What the values of a column have in common.
#[derive(Default)]
struct Values {
    booleans: bool,
    numbers: Guess,
    any_numbers: bool,
    /// Texts that stand for floats which JSON has no number for.
    no_numbers: bool,
    texts: Guess,
    any_texts: bool,
    any_lists: bool,
    items: Option<Box<Values>>,
    object: Option<Keys>,
    /// Too deep to be looked at.
    deep: bool,
}

/// The keys of objects, in the order of their first appearance.
#[derive(Default)]
struct Keys {
    names: Vec<String>,
    values: Vec<Values>,
    by_name: HashMap<String, usize>,
}

impl Keys {
    fn value(&mut self, name: &str) -> &mut Values {
        let at = match self.by_name.get(name) {
            Some(at) => *at,
            None => {
                let at = self.names.len();
                self.by_name.insert(name.to_string(), at);
                self.names.push(name.to_string());
                self.values.push(Values::default());
                at
            }
        };
        &mut self.values[at]
    }

    fn see(&mut self, json: &mut Json<'_>, depth: usize) -> Result<(), Wrong> {
        json.expect(b'{', "`{`")?;
        json.space();
        if json.peek() == b'}' {
            return json.expect(b'}', "`}`");
        }
        loop {
            let text = json.string()?;
            let name = String::from_utf8_lossy(json.text(&text)).into_owned();
            json.space();
            json.expect(b':', "`:`")?;
            json.space();
            self.value(&name).see(json, depth)?;
            json.space();
            if json.comma_or(b'}', "`,` or `}`")? {
                return Ok(());
            }
            json.space();
        }
    }

    fn fields(&self) -> Fields {
        let named = self.names.iter().zip(&self.values);
        named
            .map(|(name, values)| Field::new(name, values.inner_type(), true))
            .collect()
    }
}

impl Values {
    fn see(&mut self, json: &mut Json<'_>, depth: usize) -> Result<(), Wrong> {
        match json.peek() {
            b'"' => {
                let text = json.string()?;
                let text = json.text(&text);
                if NO_NUMBERS.contains(&text) {
                    self.no_numbers = true;
                    self.numbers.see(text, false);
                } else {
                    self.any_texts = true;
                }
                self.texts.see_time(text);
                Ok(())
            }
            b'{' if depth > 0 => self
                .object
                .get_or_insert_with(Keys::default)
                .see(json, depth - 1),
            b'[' if depth > 0 => self.see_list(json, depth - 1),
            first => {
                let raw = json.raw()?;
                match first {
                    b't' | b'f' => self.booleans = true,
                    b'n' => {}
                    b'{' | b'[' => self.deep = true,
                    _ => {
                        self.any_numbers = true;
                        self.numbers.see(raw, false);
                    }
                }
                Ok(())
            }
        }
    }

    fn see_list(&mut self, json: &mut Json<'_>, depth: usize) -> Result<(), Wrong> {
        self.any_lists = true;
        let items = self.items.get_or_insert_with(Box::default);
        json.expect(b'[', "`[`")?;
        json.space();
        if json.peek() == b']' {
            return json.expect(b']', "`]`");
        }
        loop {
            items.see(json, depth)?;
            json.space();
            if json.comma_or(b']', "`,` or `]`")? {
                return Ok(());
            }
            json.space();
        }
    }

    /// Whether its values are numbers: words for what is no number are, where there is no other text.
    fn has_numbers(&self) -> bool {
        self.any_numbers || (self.no_numbers && !self.any_texts)
    }

    /// How many kinds of values there were.
    fn kinds(&self) -> usize {
        let kinds = [
            self.booleans,
            self.has_numbers(),
            self.any_texts,
            self.any_lists,
            self.object.is_some(),
            self.deep,
        ];
        kinds.into_iter().filter(|kind| *kind).count()
    }

    /// The type inside a list or an object: null if there were no values, since another file may have some.
    fn inner_type(&self) -> DataType {
        match self.kinds() {
            0 => DataType::Null,
            _ => self.data_type(),
        }
    }

    /// The type that fits all values; text if there were none.
    fn data_type(&self) -> DataType {
        if self.deep || self.kinds() != 1 {
            return DataType::Utf8;
        }
        match (&self.object, &self.items) {
            (Some(keys), _) if keys.names.is_empty() || keys.names.len() > MOST_KEYS => {
                DataType::Utf8
            }
            (Some(keys), _) => DataType::Struct(keys.fields()),
            (None, Some(items)) => {
                DataType::List(Arc::new(Field::new_list_field(items.inner_type(), true)))
            }
            _ if self.booleans => DataType::Boolean,
            _ if self.has_numbers() => self.numbers.data_type(),
            _ => self.texts.data_type(),
        }
    }
}

/// Finds the columns of a file and the types that fit its first rows.
pub(super) fn inspect(mut input: TextInput, options: &JsonlOptions) -> Result<Inspected> {
    let mut text = Vec::new();
    let mut keys = Keys::default();
    let (mut at, mut lines, mut objects, mut ended) = (0, 0, 0, false);
    while lines < options.infer_rows.max(1) && at < SAMPLE {
        let end = match memchr::memchr(b'\n', &text[at..]) {
            Some(end) => at + end,
            None if !ended => {
                ended = input.fill_some(&mut text, SAMPLE_STEP)? == 0;
                continue;
            }
            None if at == text.len() => break,
            None => text.len(),
        };
        let line = text[at..end].trim_ascii();
        at = text.len().min(end + 1);
        if !line.is_empty() {
            lines += 1;
            objects += usize::from(see_line(line, &mut keys).is_ok());
        }
    }
    if lines > 0 && objects == 0 {
        return Err(not_objects(&text, &input));
    }
    let fields: Fields = if options.infer_rows == 0 {
        keys.names
            .iter()
            .map(|name| Field::new(name, DataType::Utf8, true))
            .collect()
    } else {
        let columns = keys.names.iter().zip(&keys.values);
        columns
            .map(|(name, values)| Field::new(name, values.data_type(), true))
            .collect()
    };
    Ok(Inspected {
        schema: Arc::new(Schema::new(fields)),
        rows: (lines == 0).then_some(0),
        sampling: None,
    })
}

fn see_line(line: &[u8], keys: &mut Keys) -> Result<(), Wrong> {
    // Only a line that is whole and right may shape the columns.
    let mut scratch = Vec::new();
    let mut json = Json::new(line, &mut scratch);
    json.skip()?;
    json.end()?;
    if simdutf8::basic::from_utf8(line).is_err() {
        return Err(Wrong::value("utf8", line, "UTF-8".to_string()));
    }
    Json::new(line, &mut scratch)
        .at_object()
        .and_then(|mut json| keys.see(&mut json, MOST_DEPTH))
}

fn not_objects(text: &[u8], input: &TextInput) -> Error {
    let error = Error::data("none of the first lines is a JSON object").file(&**input.name());
    if text.trim_ascii_start().starts_with(b"[") {
        return error.help(
            "this looks like one JSON list; write one object per line instead, for example with `jq -c '.[]'`",
        );
    }
    error.help("JSON lines hold one object per line, such as {\"a\": 1}; check the format")
}

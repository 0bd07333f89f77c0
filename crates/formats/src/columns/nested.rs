//! Structs and lists from JSON, and the objects that rows are made of.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, GenericListArray, OffsetSizeTrait, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, FieldRef, Fields};
use dataflow_core::Result;

use super::primitive::{catch_up, complete, is_null, shorten};
use super::{Column, Style, unsupported};
use crate::jsonl::json::{Json, Wrong};

/// Keys remembered per object; those of longer objects are looked up.
const MOST_MEMO: usize = 1 << 12;

/// A key of the last object, quotes included, and the column that it names.
struct Memo {
    key: Vec<u8>,
    column: Option<usize>,
}

/// The columns of an object's keys.
pub(crate) struct Object {
    names: Vec<String>,
    by_name: HashMap<String, usize>,
    columns: Vec<Box<dyn Column>>,
    /// Columns that must not be null.
    required: Vec<usize>,
    /// The keys of the last object in their order: the next one mostly has the same.
    memo: Vec<Memo>,
    rows: usize,
}

impl Object {
    /// Columns for these fields; other keys are skipped.
    ///
    /// # Errors
    /// When a field has a type that JSON cannot give.
    pub(crate) fn new(fields: &Fields, style: Style<'_>) -> Result<Self> {
        let columns = fields.iter().map(|field| super::column(field, style));
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        Ok(Self {
            by_name: names.iter().cloned().zip(0..).collect(),
            names,
            columns: columns.collect::<Result<_>>()?,
            required: (0..fields.len())
                .filter(|&i| !fields[i].is_nullable())
                .collect(),
            memo: Vec::new(),
            rows: 0,
        })
    }

    /// Objects so far.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Adds an object. After an error, it must be truncated.
    pub(crate) fn json(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        json.expect(b'{', "`{`")?;
        json.space();
        if json.peek() == b'}' {
            json.expect(b'}', "`}`")?;
        } else {
            self.entries(json)?;
        }
        for column in &mut self.columns {
            if column.len() == self.rows {
                column.null();
            }
        }
        self.rows += 1;
        match self
            .required
            .iter()
            .find(|&&i| self.columns[i].ends_in_null())
        {
            Some(&i) => {
                let expected = self.columns[i].expected();
                Err(Wrong::value("null", b"null", expected).inside(&self.names[i]))
            }
            None => Ok(()),
        }
    }

    fn entries(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        for position in 0.. {
            let named = self.key(json, position)?;
            json.space();
            json.expect(b':', "`:`")?;
            json.space();
            match named {
                Some(at) => self.value(json, at)?,
                None => json.skip()?,
            }
            json.space();
            if json.comma_or(b'}', "`,` or `}`")? {
                return Ok(());
            }
            json.space();
        }
        Ok(())
    }

    #[inline]
    fn value(&mut self, json: &mut Json<'_>, at: usize) -> Result<(), Wrong> {
        let column = &mut self.columns[at];
        if column.len() > self.rows {
            // The key was there before: the last one counts.
            column.truncate(self.rows);
        }
        column
            .json(json)
            .map_err(|wrong| wrong.inside(&self.names[at]))
    }

    /// Reads a key; the column that it names.
    #[inline]
    fn key(&mut self, json: &mut Json<'_>, position: usize) -> Result<Option<usize>, Wrong> {
        match self.memo.get(position) {
            Some(memo) if json.take(&memo.key) => Ok(memo.column),
            _ => self.look_up(json, position),
        }
    }

    fn look_up(&mut self, json: &mut Json<'_>, position: usize) -> Result<Option<usize>, Wrong> {
        let start = json.position();
        let text = json.string()?;
        let name = std::str::from_utf8(json.text(&text)).unwrap_or_default();
        let column = self.by_name.get(name).copied();
        let memo = Memo {
            key: json.since(start).to_vec(),
            column,
        };
        if position < self.memo.len() {
            self.memo[position] = memo;
        } else if position == self.memo.len() && position < MOST_MEMO {
            self.memo.push(memo);
        }
        Ok(column)
    }

    /// Adds an object that is null in all its keys.
    fn null(&mut self) {
        self.columns.iter_mut().for_each(|column| column.null());
        self.rows += 1;
    }

    /// Goes back to `rows` objects.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.columns
            .iter_mut()
            .for_each(|column| column.truncate(rows));
        self.rows = rows;
    }

    /// Hands the columns over and starts again.
    ///
    /// # Errors
    /// When Arrow refuses.
    pub(crate) fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        self.rows = 0;
        self.columns
            .iter_mut()
            .map(|column| column.finish())
            .collect()
    }
}

/// A column of objects.
struct Structs {
    fields: Fields,
    object: Object,
    nulls: NullBufferBuilder,
}

impl Column for Structs {
    fn len(&self) -> usize {
        self.object.len()
    }

    fn null(&mut self) {
        catch_up(&mut self.nulls, self.object.len());
        self.nulls.append_null();
        self.object.null();
    }

    fn push(&mut self, _: &[u8]) -> bool {
        false
    }

    fn truncate(&mut self, rows: usize) {
        self.object.truncate(rows);
        shorten(&mut self.nulls, rows);
    }

    fn ends_in_null(&self) -> bool {
        is_null(&self.nulls, self.object.len())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let length = self.object.len();
        let nulls = complete(&mut self.nulls, length);
        let columns = self.object.finish()?;
        Ok(Arc::new(StructArray::try_new_with_length(
            self.fields.clone(),
            columns,
            nulls,
            length,
        )?))
    }

    fn reason(&self) -> &'static str {
        "type"
    }

    fn expected(&self) -> String {
        "an object".to_string()
    }

    fn json(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        match json.peek() {
            b'{' => self.object.json(json),
            b'n' => {
                json.literal("null")?;
                self.null();
                Ok(())
            }
            _ => Err(Wrong::value(self.reason(), json.raw()?, self.expected())),
        }
    }
}

/// A column of lists.
struct Lists<O> {
    field: FieldRef,
    items: Box<dyn Column>,
    offsets: Vec<O>,
    nulls: NullBufferBuilder,
}

impl<O: OffsetSizeTrait> Lists<O> {
    fn items(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        json.expect(b'[', "`[`")?;
        json.space();
        if json.peek() == b']' {
            return json.expect(b']', "`]`");
        }
        loop {
            self.items.json(json).map_err(|wrong| wrong.inside("[]"))?;
            if !self.field.is_nullable() && self.items.ends_in_null() {
                let wrong = Wrong::value("null", b"null", self.items.expected());
                return Err(wrong.inside("[]"));
            }
            json.space();
            if json.comma_or(b']', "`,` or `]`")? {
                return Ok(());
            }
            json.space();
        }
    }
}

impl<O: OffsetSizeTrait> Column for Lists<O> {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn null(&mut self) {
        catch_up(&mut self.nulls, self.offsets.len() - 1);
        self.nulls.append_null();
        let end = self.offsets[self.offsets.len() - 1];
        self.offsets.push(end);
    }

    fn push(&mut self, _: &[u8]) -> bool {
        false
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        // Also takes back what a list that failed in the middle left.
        self.items
            .truncate(self.offsets[self.offsets.len() - 1].as_usize());
        shorten(&mut self.nulls, rows);
    }

    fn ends_in_null(&self) -> bool {
        is_null(&self.nulls, self.offsets.len() - 1)
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let nulls = complete(&mut self.nulls, self.offsets.len() - 1);
        let offsets = std::mem::replace(&mut self.offsets, vec![O::usize_as(0)]);
        let items = self.items.finish()?;
        Ok(Arc::new(GenericListArray::<O>::try_new(
            Arc::clone(&self.field),
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            items,
            nulls,
        )?))
    }

    fn reason(&self) -> &'static str {
        "type"
    }

    fn expected(&self) -> String {
        "a list".to_string()
    }

    fn json(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        match json.peek() {
            b'[' => {
                self.items(json)?;
                match O::from_usize(self.items.len()) {
                    Some(end) => self.offsets.push(end),
                    None => {
                        let expected = "fewer than 2^31 items in a batch".to_string();
                        return Err(Wrong::value("type", b"[...]", expected));
                    }
                }
                Ok(())
            }
            b'n' => {
                json.literal("null")?;
                self.null();
                Ok(())
            }
            _ => Err(Wrong::value(self.reason(), json.raw()?, self.expected())),
        }
    }
}

/// A builder for a column of structs or lists.
pub(super) fn column(field: &Field, style: Style<'_>) -> Result<Box<dyn Column>> {
    fn lists<O: OffsetSizeTrait>(item: &FieldRef, style: Style<'_>) -> Result<Box<dyn Column>> {
        Ok(Box::new(Lists::<O> {
            field: Arc::clone(item),
            items: super::column(item, style)?,
            offsets: vec![O::usize_as(0)],
            nulls: NullBufferBuilder::new(0),
        }))
    }
    match field.data_type() {
        DataType::Struct(fields) => Ok(Box::new(Structs {
            fields: fields.clone(),
            object: Object::new(fields, style)?,
            nulls: NullBufferBuilder::new(0),
        })),
        DataType::List(item) => lists::<i32>(item, style),
        DataType::LargeList(item) => lists::<i64>(item, style),
        _ => Err(unsupported(field)),
    }
}

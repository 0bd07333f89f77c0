//! Writing NPY: the rows as one array of NumPy, whose length is put into its header at the end.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use dataflow_core::saved::{Restored, Save};
use dataflow_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{plain, written_schema};
use super::numbers::{HEADER, Numbers, header};
use super::output::{Counted, Sink, failed};
use crate::{Ending, RowsWriter, WriteFormat};

/// Arrays of NumPy (`numpy.load`). There is nothing to set.
///
/// One column becomes an array of one axis, several numbers of one axis more (`rows, columns`); so does a single column of lists, which must
/// be of one length. Numbers keep their type; columns of different types become float64. A null is NaN in floats, and an error
/// in whole numbers. Times of a single column are `datetime64`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Npy {}

/// The name of what is saved.
const ARRAY: &str = "array";

#[derive(Serialize, Deserialize)]
struct Saved {
    rows: u64,
    width: Option<u64>,
}

impl WriteFormat for Npy {
    fn begin(&self, out: Box<dyn Write + Send>, schema: SchemaRef) -> Result<Box<dyn RowsWriter>> {
        let mut rows = NpyRows::new(Counted::new(out), &schema)?;
        let header = rows.header();
        rows.out.write_all(&header).map_err(|e| failed(&e))?;
        Ok(Box::new(rows))
    }

    fn resume(
        &self,
        out: Box<dyn Write + Send>,
        schema: SchemaRef,
        bytes: u64,
        from: &Restored<'_>,
    ) -> Result<Box<dyn RowsWriter>> {
        let mut rows = NpyRows::new(Counted::new(out), &schema)?;
        let saved = from.values(ARRAY)?.pop().unwrap_or_default();
        let saved: Saved = serde_json::from_value(saved)
            .map_err(|e| Error::data(format!("what was saved of an array: {e}")))?;
        rows.count = saved.rows;
        if let [lists] = &mut rows.columns[..] {
            lists.width = saved.width;
        }
        rows.out.go_on(bytes);
        Ok(Box::new(rows))
    }
}

struct NpyRows {
    schema: SchemaRef,
    columns: Vec<Numbers>,
    out: Counted,
    count: u64,
}

impl NpyRows {
    fn new(out: Counted, schema: &SchemaRef) -> Result<Self> {
        let schema = written_schema(schema);
        let columns = schema.fields().iter().map(|field| Numbers::of(field));
        let mut columns = columns.collect::<Result<Vec<_>>>()?;
        if columns.is_empty() {
            return Err(Error::data("an array needs a column").help("read an input with columns"));
        }
        if columns.len() > 1 {
            columns = together(columns)?;
        }
        Ok(Self {
            schema,
            columns,
            out,
            count: 0,
        })
    }

    fn header(&self) -> Vec<u8> {
        let described = self.columns[0].described();
        match &self.columns[..] {
            [one] if !one.list => header(described, &[self.count]),
            [lists] => header(described, &[self.count, lists.width.unwrap_or(0)]),
            columns => header(described, &[self.count, columns.len() as u64]),
        }
    }
}

/// Several columns as those of one array: of one type.
fn together(columns: Vec<Numbers>) -> Result<Vec<Numbers>> {
    let wrong = |column: &&Numbers| column.list || matches!(column.item, DataType::Timestamp(..));
    if let Some(column) = columns.iter().find(wrong) {
        let what = format!(
            "column `{}` cannot be put beside others in one array",
            column.name
        );
        return Err(Error::data(what)
            .help("write `npz`, which has an array for each column, or select this one alone"));
    }
    let same = columns.iter().all(|column| column.item == columns[0].item);
    let floats = columns.iter().cloned().map(Numbers::into_floats);
    Ok(if same { columns } else { floats.collect() })
}

/// The rows of several columns of numbers: a number of each in turn.
fn in_turn(columns: &[Vec<u8>], rows: usize) -> Vec<u8> {
    let width = columns[0].len() / rows.max(1);
    let mut bytes = Vec::with_capacity(columns.len() * columns[0].len());
    for row in 0..rows {
        for column in columns {
            bytes.extend_from_slice(&column[row * width..(row + 1) * width]);
        }
    }
    bytes
}

impl RowsWriter for NpyRows {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = plain(rows, &self.schema)?;
        let mut all = Vec::with_capacity(self.columns.len());
        for (column, values) in self.columns.iter_mut().zip(rows.columns()) {
            let mut bytes = Vec::new();
            column.write(values, self.count, &mut bytes)?;
            all.push(bytes);
        }
        let bytes = match &all[..] {
            [one] => one,
            _ => &in_turn(&all, rows.num_rows()),
        };
        self.out.write_all(bytes).map_err(|e| failed(&e))?;
        self.count += rows.num_rows() as u64;
        Ok(())
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<u64> {
        self.out.flush().map_err(|e| failed(&e))?;
        let saved = Saved {
            rows: self.count,
            width: self.columns[0].width,
        };
        into.value(ARRAY, serde_json::json!(saved));
        Ok(self.bytes())
    }

    fn head(&self) -> u64 {
        HEADER as u64
    }

    fn ending(&mut self) -> Result<Ending> {
        Ok(Ending::Head(self.header()))
    }

    fn finish(mut self: Box<Self>) -> Result<Sink> {
        self.out.flush().map_err(|e| failed(&e))?;
        Ok(self.out.into_inner())
    }

    fn bytes(&self) -> u64 {
        self.out.bytes()
    }
}

//! The generated sample that stands in for files while there is no path: a format that needs no file.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow_cast::{CastOptions, can_cast_types, cast_with_options};
use arrow_schema::{Schema, SchemaRef};
use dataflow_core::units::Rate;
use dataflow_core::{Batch, Check, Cutter, Decoded, Error, Located, Piece, Place, Result, Wanted};
use dataflow_formats::{InputFile, Inspected, PieceReader, ReadFormat, Reading, Request};
use schemars::JsonSchema;
use serde::Deserialize;

use super::types::name_of;
use crate::generate::{GenerateConfig, GenerateSource, Preset, Rows};

/// Generated rows for a pipeline that is tried out without data.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SampleConfig {
    /// What they look like; see the `generate` source.
    pub preset: Preset,
    /// How many rows. Default 100000.
    #[serde(default)]
    pub rows: Option<Located<u64>>,
    /// Another seed gives other rows. Default 0.
    #[serde(default)]
    pub seed: u64,
}

impl SampleConfig {
    /// How it is said.
    pub(super) fn title(&self) -> String {
        format!("the generated sample `{}`", self.preset.name())
    }

    pub(super) fn format(&self, rate: Option<Rate>, check: &mut Check<'_>) -> Option<Sample> {
        let config = GenerateConfig {
            preset: Some(self.preset),
            rows: self.rows.clone(),
            seed: self.seed,
            rate,
            ..GenerateConfig::default()
        };
        Some(Sample {
            source: config.source(check)?,
        })
    }
}

/// Generated rows as if they were read.
pub(super) struct Sample {
    source: Arc<GenerateSource>,
}

impl ReadFormat for Sample {
    fn inspect(&self, _: &InputFile) -> Result<Inspected> {
        Ok(Inspected {
            schema: self.source.schema(),
            rows: Some(self.source.rows()),
            sampling: self.source.sampling(),
        })
    }

    fn reading(&self, request: &Request) -> Result<Arc<dyn Reading>> {
        let there = self.source.schema();
        for field in request.columns.fields() {
            if let Ok(found) = there.field_with_name(field.name())
                && !can_cast_types(found.data_type(), field.data_type())
            {
                let (from, to) = (name_of(found.data_type()), name_of(field.data_type()));
                return Err(Error::data(format!(
                    "column `{}` of the sample is {from}, which cannot become {to}",
                    field.name()
                )));
            }
        }
        let wanted = |name: &String| match &request.wanted.columns {
            Some(names) => names.contains(name),
            None => true,
        };
        let fields = request.columns.fields().iter();
        let fields: Vec<_> = fields.filter(|f| wanted(f.name())).cloned().collect();
        let columns = fields.iter().map(|f| f.name().clone()).collect();
        let source = self.source.narrowed(&Wanted {
            columns: Some(columns),
            predicate: Vec::new(),
            rows: request.wanted.rows,
        });
        Ok(Arc::new(SampleReading {
            source,
            target: Arc::new(Schema::new(fields)),
        }))
    }
}

struct SampleReading {
    source: GenerateSource,
    target: SchemaRef,
}

impl Reading for SampleReading {
    fn cutter(&self, _: &InputFile, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        Ok(Box::new(self.source.cut(split, first)))
    }

    fn reader(&self) -> Box<dyn PieceReader> {
        Box::new(SampleRows {
            rows: self.source.read(),
            target: Arc::clone(&self.target),
        })
    }
}

struct SampleRows {
    rows: Rows,
    target: SchemaRef,
}

impl SampleRows {
    fn shaped(&self, batch: &Batch) -> Result<RecordBatch> {
        let made = batch.rows();
        let strict = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        let columns =
            self.target
                .fields()
                .iter()
                .map(|field| match made.column_by_name(field.name()) {
                    Some(column) => Ok(cast_with_options(column, field.data_type(), &strict)?),
                    None => Ok(new_null_array(field.data_type(), made.num_rows())),
                });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(made.num_rows()));
        let target = Arc::clone(&self.target);
        Ok(RecordBatch::try_new_with_options(
            target, columns, &options,
        )?)
    }
}

impl PieceReader for SampleRows {
    fn open(&mut self, _: &InputFile, piece: Piece) -> Result<()> {
        self.rows.open(&piece);
        Ok(())
    }

    fn next(&mut self, rows: usize) -> Result<Option<Decoded>> {
        let Some(batch) = self.rows.next_batch(rows)? else {
            return Ok(None);
        };
        let rows = self.shaped(&batch)?;
        Ok(Some(Decoded {
            batches: vec![(0, batch.with_rows(rows))],
            bad: Vec::new(),
        }))
    }
}

//! Parquet: reading, page by page, only the columns in use, leaving out what statistics exclude.
//!
//! A file is cut into ranges of rows. A range needs no row group to be in memory: every column is decoded from its own
//! pages, one page at a time, so the size of row groups does not matter. Text that is dictionary-encoded in the file can
//! stay so. Without a page index the pages before a range are skipped by hopping from header to header.

mod bounds;
mod footer;
mod least;
mod pages;
mod pieces;
mod plan;
mod reader;
mod skip;

use std::sync::Arc;

use dataflow_core::{Cutter, Place, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{InputFile, Inspected, PieceReader, ReadFormat, Reading, Request};
use footer::Footer;
use pieces::Pieces;
use plan::Plans;
use reader::Rows;

/// Parquet files. There is nothing to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parquet {}

/// Whether a file that starts with these bytes is a Parquet file.
pub fn recognise(head: &[u8]) -> bool {
    head.starts_with(b"PAR1")
}

impl ReadFormat for Parquet {
    fn inspect(&self, file: &InputFile) -> Result<Inspected> {
        let footer = Footer::load(file, footer::Indexes::None)?;
        Ok(Inspected {
            schema: footer.logical_schema(),
            rows: Some(footer.rows()),
            sampling: None,
        })
    }

    fn reading(&self, request: &Request) -> Result<Arc<dyn Reading>> {
        Ok(Arc::new(ParquetReading {
            plans: Arc::new(Plans::new(request)),
        }))
    }
}

struct ParquetReading {
    plans: Arc<Plans>,
}

impl Reading for ParquetReading {
    fn cutter(&self, file: &InputFile, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        let plan = self.plans.of(file)?;
        Ok(Box::new(Pieces::new(plan, split, first)?))
    }

    fn minimum(&self, file: &InputFile, column: &str) -> Result<Option<i64>> {
        least::minimum(file, self.plans.columns(), column)
    }

    fn reader(&self) -> Box<dyn PieceReader> {
        Box::new(Rows::new(Arc::clone(&self.plans)))
    }
}

#[cfg(test)]
mod tests;

//! Prints rows: a table with the head and the tail of long output, or CSV or JSON lines as they come.

mod table;

use std::sync::Arc;

use arrow_schema::SchemaRef;
use dataflow_core::component::{Configured, Info, SinkConfig};
use dataflow_core::saved::Restored;
use dataflow_core::sink::Target;
use dataflow_core::transform::Input;
use dataflow_core::{Check, Result, Sink, SinkContext, Writer};
use dataflow_formats::write::{Csv, Format, Jsonl};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::stdout::Streamed;
use table::Table;

/// What is printed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// How rows are printed. Default `"table"`.
    pub format: Style,
    /// Rows of a table: half of them from the start, half from the end. Default 40.
    pub rows: u32,
    /// Rows of a table when they are all to be from the start; then `rows` does not matter.
    pub head: Option<u32>,
    /// A line above a table, to tell several apart.
    pub title: Option<String>,
    /// Whether a table shows the columns' types. Default `false`.
    pub types: bool,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            format: Style::Table,
            rows: 40,
            head: None,
            title: None,
            types: false,
        }
    }
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// A table, when the run is complete. Numbers have at most seven digits that count, six on a terminal.
    #[default]
    Table,
    /// CSV, all rows, as they come.
    Csv,
    /// JSON lines, all rows, as they come.
    Jsonl,
}

impl Configured for Console {
    const INFO: Info = Info {
        name: "console",
        summary: "Prints rows to standard output",
        manual: "\
A table shows the first and the last rows and says how many it leaves out; it needs the memory of those rows. Where the \
terminal is too narrow, long texts are cut and the table is broken into blocks that repeat the first column, at most three \
(what is left out is said). With `csv` or `jsonl` all rows are printed as \
they come, every value in full.

A run that goes on from a snapshot prints the table of all rows. Rows that are printed as they come are not taken back: those \
that were printed behind the snapshot are printed again.

Several tables are printed one after the other, each under its title or the name of what it shows. Rows that are printed as \
they come must be alone on standard output.",
        example: "type = \"console\"\ninputs = [\"per_minute\"]\nrows = 20\n",
        also_called: &["print", "stdout", "show"],
        ..Info::EMPTY
    };
}

impl SinkConfig for Console {
    fn build(self, input: &Input, check: &mut Check<'_>) -> Option<Arc<dyn Sink>> {
        let sink = ConsoleSink {
            config: self,
            schema: Arc::clone(&input.schema),
            title: input.from.join(", "),
        };
        let text = Format::Csv(Csv::default());
        let nowhere = Box::new(std::io::sink());
        let begun = text.writer().begin(nowhere, Arc::clone(&sink.schema));
        if let Err(error) = begun {
            check.error(error.what());
            return None;
        }
        Some(Arc::new(sink))
    }
}

struct ConsoleSink {
    config: Console,
    schema: SchemaRef,
    /// What a table is called where there are several.
    title: String,
}

impl ConsoleSink {
    fn table(&self, context: &SinkContext) -> Table {
        let title = context.shares_stdout.then(|| self.title.clone());
        Table::new(context, Arc::clone(&self.schema), &self.config).titled(title)
    }
}

impl Sink for ConsoleSink {
    fn open(&self, context: &SinkContext) -> Result<Box<dyn Writer>> {
        let schema = Arc::clone(&self.schema);
        let format = match self.config.format {
            Style::Table => return Ok(Box::new(self.table(context))),
            Style::Csv => Format::Csv(Csv::default()),
            Style::Jsonl => Format::Jsonl(Jsonl::default()),
        };
        Ok(Box::new(Streamed::new(context, &format, schema)?))
    }

    fn resume(&self, context: &SinkContext, from: &Restored<'_>) -> Result<Box<dyn Writer>> {
        match self.config.format {
            Style::Table => Ok(Box::new(self.table(context).resumed(from)?)),
            Style::Csv | Style::Jsonl => self.open(context),
        }
    }

    fn targets(&self) -> Vec<Target> {
        vec![match self.config.format {
            Style::Table => Target::Printed,
            Style::Csv | Style::Jsonl => Target::Streamed,
        }]
    }
}

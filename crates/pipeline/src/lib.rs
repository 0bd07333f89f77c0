//! Pipeline files: TOML as written, checked, and made into a plan that the engine runs.
//!
//! The way of a file: its text and what it [includes](Load::read) become one tree of located values; `--set` and `[params]`
//! give variables their values, which are expanded in text values only; tables become components, `inputs` links; the
//! components are built in order against the columns that they will get, and every problem on that way is collected in a
//! [`Report`]. If there is none, the sources are asked for less (columns in use, rows that would be thrown away anyway) and
//! the components are built again over what is left.
//!
//! ```
//! use dataflow_pipeline::{Load, load_text};
//!
//! let loaded = load_text("p.toml".as_ref(), "[sources.a]\ntype = \"flie\"\n", &[], &Load::default());
//! assert!(loaded.pipeline.is_none());
//! let shown = loaded.report.render(false);
//! assert!(shown.contains("p.toml:2:8: error: there is no source `flie`\n2 | type = \"flie\"\n  |        ^^^^^^\n"));
//! ```
//!
//! What else is made of a catalog or a plan: [`json_schema`] for editors, the [`reference()`] manual, [`list`], pictures
//! ([`graph`]), and what a run will do in words ([`explain`]).

mod about;
mod agree;
mod build;
mod cases;
mod check;
mod compare;
mod connect;
mod each;
mod endless;
mod explain;
mod further;
mod fuzz;
pub mod graph;
mod include;
mod interpolate;
mod links;
mod literal;
mod memory;
mod options;
mod params;
mod parse;
mod phases;
mod prune;
mod reference;
mod render;
mod rows;
mod scaffold;
mod schema;
mod sets;
mod settings;
mod targets;
mod test_plan;
mod texts;
mod time;
mod written;

pub use cases::{Expect, Insert, PipelineTest};
pub use check::{Checked, Loaded, load, load_text, load_tree};
pub use compare::compare;
pub use explain::explain;
pub use fuzz::fuzz;
pub use memory::MemorySource;
pub use options::{Load, ReadText};
pub use params::{Origin, Parameter, ParameterType};
pub use reference::{example, list, list_json, page, reference};
pub use render::Report;
pub use rows::record_batch;
pub use scaffold::{SCAFFOLDS, scaffold};
pub use schema::json_schema;
pub use settings::Settings;
pub use texts::{Spot, Texts};

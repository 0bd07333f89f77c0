//! The source family: components that rows come from.

use dataflow_core::component::Component;

mod file;
mod generate;
mod named;
mod sampling;
#[cfg(test)]
mod testing;
mod time;

pub use file::{
    ColumnType, DeclaredColumn, FileConfig, FormatConfig, Matching, Paths, SampleConfig, open_path,
};
pub use generate::{AnomaliesConfig, ColumnConfig, GenerateConfig, Preset, Scalar};
pub use named::Named;
pub use sampling::SamplingConfig;
pub use time::{TimeConfig, TimeUnit, timed};

/// All sources, in alphabetical order.
pub fn list() -> Vec<Component> {
    vec![
        Component::source::<FileConfig>(),
        Component::source::<GenerateConfig>(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataflow_core::component::SourceConfig;
    use schemars::SchemaGenerator;

    #[test]
    fn every_source_has_its_page() {
        let names: Vec<&str> = list().iter().map(|source| source.info.name).collect();
        assert!(names.is_sorted());
        for source in list() {
            let info = source.info;
            assert!(!info.summary.ends_with('.') && !info.manual.is_empty());
            let schema = source.schema.expect("sources have one");
            let schema = schema(&mut SchemaGenerator::default());
            assert!(schema.as_object().is_some_and(|s| !s.is_empty()));
        }
    }

    #[test]
    fn examples_fit_their_settings() {
        fn fits<C: SourceConfig>() {
            if let Err(problem) = testing::node(C::INFO.example).read::<C>() {
                panic!("{}: {}", C::INFO.name, problem.message);
            }
        }
        fits::<FileConfig>();
        fits::<GenerateConfig>();
    }
}

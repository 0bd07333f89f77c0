//! Embeds dataflow: a pipeline with parameters and components of the program's own, and its rows as an iterator.

mod longest;
mod mask;

use std::error::Error;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_cast::display::array_value_to_string;
use dataflow::core::component::Component;
use dataflow::{Catalog, Options, Pipeline, Report};

const PIPELINE: &str = r#"
name = "payments"

[params]
rows = 100_000
much = { default = 500.0, help = "an amount that somebody should look at" }

[sources.payments]
type   = "generate"
preset = "fraud"
rows   = "${rows}"

[transforms.large]
type   = "filter"
inputs = ["payments"]
where  = "amount > $much"

[transforms.masked]
type    = "mask"
inputs  = ["large"]
columns = ["account"]
keep    = 4

[transforms.per_category]
type   = "aggregate"
inputs = ["masked"]
by     = ["category"]
compute.payments        = "count(*)"
compute.largest         = "max(amount)"
compute.by_whom         = "arg_max(account, amount)"
compute.longest_account = "longest(account)"
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let (batches, report) = large_payments(20_000, 400.0)?;
    for line in lines(&batches)? {
        println!("{line}");
    }
    let source = &report.numbers.components[0];
    println!(
        "{} payments in {:.2} s",
        source.rows_out, report.numbers.seconds
    );
    Ok(())
}

/// Runs the pipeline and pulls what `per_category` writes.
fn large_payments(rows: i64, much: f64) -> Result<(Vec<RecordBatch>, Report), Box<dyn Error>> {
    // A catalog is a value: the components of the library and our own.
    let catalog = Catalog::default()
        .with(longest::component())
        .with(Component::transform::<mask::Mask>());
    let pipeline = Pipeline::from_text(PIPELINE)
        .catalog(catalog)
        .set("rows", rows)
        .set("much", much)
        .pull("per_category")
        .load()?;
    let mut run = pipeline.start_with(Options {
        deadline: Some(Duration::from_secs(60)),
        ..Options::default()
    })?;
    // The run waits while nobody takes rows. `run.stop_handle()` stops it from another thread.
    let batches = run.batches("per_category")?.collect();
    let report = run.finish()?;
    Ok((batches, report))
}

/// Every row as a line of text.
fn lines(batches: &[RecordBatch]) -> Result<Vec<String>, Box<dyn Error>> {
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter();
            let cells = cells.map(|column| array_value_to_string(column, row));
            lines.push(cells.collect::<Result<Vec<_>, _>>()?.join("  "));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipeline_gives_a_row_for_each_category() {
        let (batches, report) = large_payments(20_000, 400.0).expect("runs");
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert!((1..=8).contains(&rows), "{rows} categories");
        assert_eq!(report.numbers.components[0].rows_out, 20_000);
        let lines = lines(&batches).expect("prints");
        assert!(lines[0].contains("*****"), "{lines:?}");
    }

    #[test]
    fn a_wrong_column_is_pointed_at() {
        let wrong = PIPELINE.replace("[\"account\"]", "[\"acount\"]");
        let catalog = Catalog::default()
            .with(longest::component())
            .with(Component::transform::<mask::Mask>());
        let error = Pipeline::from_text(wrong)
            .catalog(catalog)
            .load()
            .err()
            .expect("is refused");
        assert!(
            error.to_string().contains("did you mean `account`?"),
            "{error}"
        );
    }
}

//! Commands that look at a pipeline file without running it on data.

use dataflow::describe::{Load, Loaded, graph as draw};
use dataflow::{LoadError, Pipeline};

use crate::arguments::{File, Graph, GraphFormat, Loading, Test, TextOrJson, Validate};
use crate::exit::{Failure, colours};
use crate::pages::print;

/// What was said on the command line, for the loader.
pub fn load_options(loading: &Loading, offline: bool) -> Result<Load, Failure> {
    let show = loading
        .show
        .iter()
        .map(|written| show_option(written))
        .collect::<Result<_, _>>()?;
    Ok(Load {
        set: loading.set.clone(),
        rows: loading.rows,
        without: loading.without.clone(),
        show,
        offline,
        ..Load::with_environment()
    })
}

fn show_option(written: &str) -> Result<(String, Option<u64>), Failure> {
    match written.split_once(':') {
        None => Ok((written.to_string(), None)),
        Some((id, number)) => match number.parse() {
            Ok(rows) => Ok((id.to_string(), Some(rows))),
            Err(_) => Err(Failure::Usage(format!(
                "`--show {written}`: `{number}` is not a number of rows"
            ))),
        },
    }
}

/// Loads a pipeline and prints its warnings, for looking at it alone: standard input is left as it is.
pub fn load_unread(
    path: &std::path::Path,
    loading: &Loading,
    quiet: bool,
) -> Result<Pipeline, Failure> {
    let options = Load {
        look_at_stdin: false,
        ..load_options(loading, false)?
    };
    load_with(path, options, quiet)
}

/// Loads a pipeline and prints its warnings.
pub fn load_with(path: &std::path::Path, options: Load, quiet: bool) -> Result<Pipeline, Failure> {
    let pipeline = Pipeline::from_file(path).options(options).load()?;
    if !quiet && !pipeline.problems().is_empty() {
        eprint!(
            "{}",
            pipeline.problems().render(colours(&std::io::stderr()))
        );
    }
    Ok(pipeline)
}

/// `dataflow validate`
pub fn validate(options: &Validate, quiet: bool) -> Result<(), Failure> {
    let load = Load {
        look_at_stdin: false,
        ..load_options(&options.file.loading, options.offline)?
    };
    let loaded: Loaded = Pipeline::from_file(&options.file.pipeline)
        .options(load)
        .check();
    let wrong = loaded.report.problems.any_error();
    if options.format == TextOrJson::Json {
        print(&format!("{:#}\n", loaded.report.problems_json()))?;
        return if wrong {
            Err(Failure::Silent(78))
        } else {
            Ok(())
        };
    }
    if wrong {
        return Err(LoadError {
            problems: Box::new(loaded.report),
        }
        .into());
    }
    if !quiet {
        eprint!("{}", loaded.report.render(colours(&std::io::stderr())));
    }
    let offline = if options.offline {
        " (files were not looked at)"
    } else {
        ""
    };
    print(&format!(
        "{} is fine{offline}\n",
        options.file.pipeline.display()
    ))
}

/// `dataflow test`
pub fn test(options: &Test, quiet: bool) -> Result<(), Failure> {
    let pipeline = load_unread(&options.file.pipeline, &options.file.loading, quiet)?;
    let outcomes = pipeline.test();
    if outcomes.is_empty() && !quiet {
        eprintln!(
            "{} has no [[tests]]; `dataflow new summary` prints a pipeline that has one",
            options.file.pipeline.display()
        );
    }
    let failed = outcomes
        .iter()
        .filter(|outcome| outcome.failure.is_some())
        .count();
    if options.format == TextOrJson::Json {
        let list = outcomes
            .iter()
            .map(|o| serde_json::json!({ "name": o.name, "failure": o.failure }));
        print(&format!("{:#}\n", serde_json::Value::from_iter(list)))?;
    } else {
        for outcome in &outcomes {
            match &outcome.failure {
                None => print(&format!("ok      {}\n", outcome.name))?,
                Some(why) => print(&format!(
                    "FAILED  {}\n        {}\n",
                    outcome.name,
                    why.replace('\n', "\n        ")
                ))?,
            }
        }
        print(&format!(
            "{} passed, {failed} failed\n",
            outcomes.len() - failed
        ))?;
    }
    if failed > 0 {
        Err(Failure::Silent(1))
    } else {
        Ok(())
    }
}

/// `dataflow explain`
pub fn explain(options: &File, quiet: bool) -> Result<(), Failure> {
    let pipeline = load_unread(&options.pipeline, &options.loading, quiet)?;
    print(&dataflow::describe::explain(
        pipeline.checked(),
        &pipeline.problems().texts,
    ))
}

/// `dataflow graph`
pub fn graph(options: &Graph, quiet: bool) -> Result<(), Failure> {
    let pipeline = load_unread(&options.file.pipeline, &options.file.loading, quiet)?;
    let plan = &pipeline.checked().plan;
    let text = match options.format {
        GraphFormat::Mermaid => draw::mermaid(plan),
        GraphFormat::Dot => draw::dot(plan),
    };
    print(&pipeline.problems().texts.redact(&text))
}

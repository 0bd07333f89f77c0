//! What the program says of itself: components, manual, schema, starters, completions.

use std::io::Write;

use clap::CommandFactory;
use dataflow::core::problem::did_you_mean;
use dataflow::{Catalog, describe};

use crate::arguments::{Arguments, Completions, List, New, Reference, Show, TextOrJson};
use crate::exit::Failure;

/// Writes to standard output; a reader that has gone is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// `dataflow list`
pub fn list(options: &List) -> Result<(), Failure> {
    let catalog = Catalog::default();
    match options.format {
        TextOrJson::Text => print(&describe::list(catalog.components())),
        TextOrJson::Json => print(&format!(
            "{:#}\n",
            describe::list_json(catalog.components())
        )),
    }
}

/// `dataflow show COMPONENT`
pub fn show(options: &Show) -> Result<(), Failure> {
    let catalog = Catalog::default();
    let wanted = options.component.as_str();
    let found: Vec<_> = catalog
        .components()
        .iter()
        .filter(|c| c.info.name == wanted)
        .collect();
    if found.is_empty() {
        let names = catalog.components().iter().map(|c| c.info.name);
        let also = catalog
            .components()
            .iter()
            .find(|c| c.info.also_called.contains(&wanted));
        let help = also
            .map(|c| format!("did you mean `{}`?", c.info.name))
            .or_else(|| did_you_mean(wanted, names));
        let help = help.unwrap_or_else(|| "`dataflow list` lists them all".to_string());
        return Err(Failure::Usage(format!(
            "there is no component `{wanted}`\n  help: {help}"
        )));
    }
    let pages: Vec<String> = found.into_iter().map(describe::page).collect();
    print(&pages.join("\n"))
}

/// `dataflow schema`
pub fn schema() -> Result<(), Failure> {
    print(&format!(
        "{:#}\n",
        describe::json_schema(Catalog::default().components())
    ))
}

/// `dataflow reference FOLDER`
pub fn reference(options: &Reference) -> Result<(), Failure> {
    std::fs::create_dir_all(&options.folder)?;
    for (name, text) in describe::reference(Catalog::default().components()) {
        std::fs::write(options.folder.join(name), text)?;
    }
    std::fs::write(options.folder.join("expressions.md"), expressions())?;
    Ok(())
}

const EXPRESSIONS: &str = "# Expressions

<!-- Generated from the functions' own documentation. -->

Expressions are SQL scalar expressions. Names of columns are case-sensitive; only names that are not plain words are
quoted: `\"Voltage(V)\" * 2`. Text stands in single quotes: `'abc'`. `$name` is a parameter as a typed constant.

A row for which an expression fails (a cast that does not fit, a division by zero, an overflow of whole numbers) is a
bad row by itself, whatever rows stand beside it; see `on_error`. `try_cast` gives null instead.

Operators: `+ - * / %`, `||` for text, `= <> < <= > >=`, `and or not`, `is null`, `is not null`, `between`, `in`,
`like`, `case when ... then ... else ... end`, `cast(x as double)`. In `aggregate`, calls of
[accumulators](accumulators.md) stand inside expressions, with `filter (where ...)` where wanted.

What would give other results in every run (`now()`, `random()`) is refused; `run_time()` is fixed when a run starts.

Most functions are those of [Apache DataFusion](https://datafusion.apache.org).

| Function | |
|---|---|
";

/// The manual's page of functions.
fn expressions() -> String {
    let mut page = EXPRESSIONS.to_string();
    for function in dataflow::expression_reference() {
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " or ");
        let also = match function.also_called.as_slice() {
            [] => String::new(),
            names => format!(" Also written `{}`.", names.join("`, `")),
        };
        page.push_str(&format!(
            "| `{}` | {}{also} |\n",
            cell(&function.signature),
            cell(&sentences(&function.summary))
        ));
    }
    page
}

/// A summary as whole sentences, without those that point into another manual.
fn sentences(summary: &str) -> String {
    let leads_away = |text: &&str| !text.contains("](") || text.contains("](http");
    let text: String = summary.split_inclusive(". ").filter(leads_away).collect();
    let text = text.trim();
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().collect::<String>());
    let whole = first.unwrap_or_default() + letters.as_str();
    if whole.ends_with('.') {
        whole
    } else {
        whole + "."
    }
}

/// `dataflow new [KIND]`
pub fn new(options: &New) -> Result<(), Failure> {
    let Some(kind) = &options.kind else {
        let mut text = String::from("Pipelines to start from:\n");
        for (name, what, _) in describe::SCAFFOLDS {
            text.push_str(&format!("  {name:12} {what}\n"));
        }
        text.push_str("\nPrint one with `dataflow new NAME > pipeline.toml`.\n");
        return print(&text);
    };
    match describe::scaffold(kind) {
        Some(text) => print(text),
        None => {
            let help = did_you_mean(kind, describe::SCAFFOLDS.iter().map(|(name, ..)| *name));
            let help = help.unwrap_or_else(|| "`dataflow new` lists them".to_string());
            Err(Failure::Usage(format!(
                "there is no pipeline `{kind}` to start from\n  help: {help}"
            )))
        }
    }
}

/// `dataflow completions SHELL`
pub fn completions(options: &Completions) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(
        options.shell,
        &mut Arguments::command(),
        "dataflow",
        &mut text,
    );
    print(&String::from_utf8_lossy(&text))
}

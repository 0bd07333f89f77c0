//! The `--set` options of a run: parameters by name, and any other key by its dotted name.

use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Problem, Problems, Span};

use crate::options::Load;
use crate::params::Parameter;
use crate::parse;
use crate::texts::Texts;

/// One `--set` option.
pub(crate) struct Setting {
    name: String,
    name_span: Span,
    pub text: String,
    value_base: usize,
    pub value_span: Span,
}

/// The `--set` options of a run.
pub(crate) struct Sets {
    list: Vec<Setting>,
}

impl Sets {
    /// Reads the options; each becomes a text that problems can point at.
    pub fn read(options: &Load, texts: &mut Texts, problems: &mut Problems) -> Self {
        let mut list = Vec::new();
        for option in &options.set {
            let base = texts.add("--set", option.as_str());
            let span = |start, end| Span {
                start: base + start,
                end: base + end,
            };
            match option.split_once('=') {
                Some((name, text)) => list.push(Setting {
                    name: name.trim().to_string(),
                    name_span: span(0, name.len()),
                    text: text.to_string(),
                    value_base: base + name.len() + 1,
                    value_span: span(name.len() + 1, option.len()),
                }),
                None => problems.push(
                    Problem::error(
                        "`--set` needs a name and a value",
                        Some(span(0, option.len())),
                    )
                    .help("write `--set name=value`"),
                ),
            }
        }
        Self { list }
    }

    /// Puts the values of dotted names into the tree of the file.
    pub fn apply(&self, entries: &mut Vec<(Key, Node)>, problems: &mut Problems) {
        for setting in self.list.iter().filter(|s| s.name.contains('.')) {
            let node = parse::value(&setting.text, setting.value_base).unwrap_or_else(|| Node {
                value: Tree::Text(setting.text.clone()),
                span: Some(setting.value_span),
            });
            let names: Vec<&str> = setting.name.split('.').collect();
            if !put(entries, &names, &node, setting.name_span) {
                let message = format!(
                    "`{}` leads through something that is not a table",
                    setting.name
                );
                problems.push(Problem::error(message, Some(setting.name_span)));
            }
        }
    }

    /// The last value given to a parameter.
    pub fn parameter(&self, name: &str) -> Option<&Setting> {
        self.list.iter().rev().find(|s| s.name == name)
    }

    /// Reports names that are no parameters.
    pub fn check_names(&self, known: &[Parameter], problems: &mut Problems) {
        for setting in self.list.iter().filter(|s| !s.name.contains('.')) {
            if known.iter().any(|p| p.name == setting.name) {
                continue;
            }
            let message = format!("the pipeline has no parameter `{}`", setting.name);
            let names = known.iter().map(|p| p.name.as_str());
            let help = did_you_mean(&setting.name, names.clone()).unwrap_or_else(|| {
                let listed: Vec<String> = names.map(|n| format!("`{n}`")).collect();
                if listed.is_empty() {
                    "it has none; other keys are set with a dot, as in `--set engine.workers=2`"
                        .into()
                } else {
                    format!("its parameters are {}", listed.join(", "))
                }
            });
            problems.push(Problem::error(message, Some(setting.name_span)).help(help));
        }
    }
}

fn put(entries: &mut Vec<(Key, Node)>, names: &[&str], node: &Node, span: Span) -> bool {
    let Some((first, rest)) = names.split_first() else {
        return false;
    };
    let at = entries
        .iter()
        .position(|(k, _)| k.name == *first)
        .unwrap_or_else(|| {
            let key = Key {
                name: (*first).to_string(),
                span: Some(span),
            };
            let table = Node {
                value: Tree::Table(Vec::new()),
                span: Some(span),
            };
            entries.push((key, table));
            entries.len() - 1
        });
    let value = &mut entries[at].1;
    if rest.is_empty() {
        *value = node.clone();
        return true;
    }
    match &mut value.value {
        Tree::Table(inner) => put(inner, rest, node, span),
        _ => false,
    }
}

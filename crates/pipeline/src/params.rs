//! The pipeline's parameters: `[params]`, `--set name=value`, the environment; and `--set` of any other key.

use std::collections::BTreeMap;

use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::{Problem, Problems, Span, Value};
use serde::Deserialize;

use crate::interpolate::{Interpolation, is_secret_name};
use crate::options::Load;
use crate::parse;
use crate::sets::Sets;
use crate::texts::Texts;

/// Environment variables that nearly every machine has, so that a parameter of that name is set by accident.
const EVERYWHERE: [&str; 10] = [
    "PATH", "HOME", "USER", "SHELL", "LANG", "PWD", "TERM", "HOSTNAME", "EDITOR", "TMPDIR",
];

/// A parameter, for `--help` of a pipeline and for whoever embeds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub help: Option<String>,
    /// Its type.
    pub of_type: ParameterType,
    /// What it is if nothing else is said; none if it must be given.
    pub default: Option<Value>,
    /// What it is now; none after a problem.
    pub value: Option<Value>,
    /// Who said so.
    pub origin: Origin,
}

/// Who gave a parameter its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The pipeline file.
    Default,
    /// This environment variable.
    Environment(String),
    /// `--set`.
    Set,
}

/// The type of a parameter. It decides how text from the command line or the environment is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// `true` or `false`.
    Boolean,
    /// A list, written as in TOML: `[1, 2]`.
    List,
}

impl ParameterType {
    /// The word for it in a pipeline file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::List => "list",
        }
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Boolean(_) => Self::Boolean,
            Value::Integer(_) => Self::Integer,
            Value::Float(_) => Self::Float,
            Value::Text(_) | Value::Null => Self::Text,
            Value::List(_) => Self::List,
        }
    }

    fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::Text => Some(Value::Text(text.to_string())),
            Self::Integer => text
                .trim()
                .replace('_', "")
                .parse()
                .ok()
                .map(Value::Integer),
            Self::Float => text.trim().replace('_', "").parse().ok().map(Value::Float),
            Self::Boolean => text.trim().parse().ok().map(Value::Boolean),
            Self::List => parse::value(text.trim(), 0)
                .and_then(|node| value_of(&node))
                .filter(|value| matches!(value, Value::List(_))),
        }
    }

    fn accept(self, value: Value) -> Option<Value> {
        match (self, value) {
            (Self::Float, Value::Integer(n)) => Some(Value::Float(n as f64)),
            (wanted, value) => (Self::of(&value) == wanted).then_some(value),
        }
    }
}

/// A parameter as a table in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    #[serde(default)]
    help: Option<String>,
    #[serde(default, rename = "type")]
    of_type: Option<ParameterType>,
}

/// The parameters with their values, and whatever is wrong with them.
pub(crate) fn parameters(
    table: Option<&Node>,
    settings: &Sets,
    options: &Load,
    texts: &mut Texts,
    problems: &mut Problems,
) -> Vec<Parameter> {
    let mut list: Vec<Parameter> = Vec::new();
    let empty = Vec::new();
    let entries = match table.map(|t| (&t.value, t.span)) {
        Some((Tree::Table(entries), _)) => entries,
        Some((_, span)) => {
            problems.push(
                Problem::error("`params` is a table", span)
                    .help("write `[params]` and the parameters below it"),
            );
            &empty
        }
        None => &empty,
    };
    let mut later: Vec<String> = entries.iter().map(|(k, _)| k.name.clone()).collect();
    let (mut known, mut broken) = (BTreeMap::new(), Vec::new());
    for (key, node) in entries {
        let mut expand = Interpolation {
            texts,
            problems,
            options,
            parameters: &known,
            later: &later,
            broken: &broken,
            failed: false,
        };
        let node = expand.node(node);
        let failed = expand.failed;
        let mut reading = Reading {
            settings,
            options,
            texts,
            problems,
        };
        let mut parameter = reading.parameter(key, &node);
        later.retain(|name| *name != key.name);
        if failed && parameter.origin == Origin::Default {
            parameter.value = None;
        }
        match &parameter.value {
            Some(value) => drop(known.insert(parameter.name.clone(), value.clone())),
            None => broken.push(parameter.name.clone()),
        }
        list.push(parameter);
    }
    settings.check_names(&list, problems);
    list
}

struct Reading<'a> {
    settings: &'a Sets,
    options: &'a Load,
    texts: &'a mut Texts,
    problems: &'a mut Problems,
}

impl Reading<'_> {
    fn parameter(&mut self, key: &Key, node: &Node) -> Parameter {
        self.check_name(key);
        let before = self.problems.list().len();
        let (described, default) = self.described(node);
        let of_type = described
            .as_ref()
            .and_then(|d| d.of_type)
            .or(default.as_ref().map(ParameterType::of))
            .unwrap_or(ParameterType::Text);
        let default = default.and_then(|value| {
            let accepted = of_type.accept(value.clone());
            if accepted.is_none() {
                let message = format!("the default {value} is not of type `{}`", of_type.word());
                let span = node.get("default").unwrap_or(node).span;
                self.problems.push(Problem::error(message, span));
            }
            accepted
        });
        let broken = default.is_none() && self.problems.list().len() > before;
        let (value, origin) = self.value(key, of_type, default.as_ref(), broken);
        if let (true, Some(Value::Text(secret))) = (is_secret_name(&key.name), &value) {
            self.texts.keep_secret(secret);
        }
        Parameter {
            name: key.name.clone(),
            help: described.and_then(|d| d.help),
            of_type,
            default,
            value,
            origin,
        }
    }

    fn check_name(&mut self, key: &Key) {
        let first = key
            .name
            .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !first
            || !key
                .name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            let message = format!("`{}` cannot be the name of a parameter", key.name);
            self.problems.push(Problem::error(message, key.span).help(
                "names are letters, digits and `_`, so that `${name}` and `$name` can be written",
            ));
        }
    }

    fn described(&mut self, node: &Node) -> (Option<Described>, Option<Value>) {
        let Tree::Table(_) = node.value else {
            return (None, self.plain(node));
        };
        let described = match node.without(&["default"]).read() {
            Ok(described) => Some(described),
            Err(problem) => {
                self.problems.push(problem.help("a parameter is a value, or `{ default = ..., help = \"...\", type = \"...\" }`"));
                None
            }
        };
        let default = node.get("default").and_then(|default| self.plain(default));
        (described, default)
    }

    fn plain(&mut self, node: &Node) -> Option<Value> {
        let value = value_of(node);
        if value.is_none() {
            self.problems.push(Problem::error(
                "a parameter is text, a number, `true` or `false`, or a list of them",
                node.span,
            ));
        }
        value
    }

    fn value(
        &mut self,
        key: &Key,
        of_type: ParameterType,
        default: Option<&Value>,
        broken: bool,
    ) -> (Option<Value>, Origin) {
        if let Some(setting) = self.settings.parameter(&key.name) {
            let value = of_type.read(&setting.text);
            if value.is_none() {
                self.not_of_type(&key.name, &setting.text, of_type, Some(setting.value_span));
            }
            // The default stands in, so that what uses the parameter is checked all the same.
            return (value.or_else(|| default.cloned()), Origin::Set);
        }
        let upper = key.name.to_uppercase();
        for name in [&key.name, &upper] {
            let Some(text) = self.options.environment.get(name) else {
                continue;
            };
            self.warn_of_accidents(name, key);
            let value = of_type.read(text);
            if value.is_none() {
                let span = self
                    .texts
                    .add(format!("environment variable {name}"), text.as_str());
                let end = span + text.len();
                self.not_of_type(&key.name, text, of_type, Some(Span { start: span, end }));
            }
            let value = value.or_else(|| default.cloned());
            return (value, Origin::Environment(name.clone()));
        }
        if default.is_none() && !broken {
            let message = format!("the parameter `{}` has no value", key.name);
            let help = format!(
                "give it with `--set {}=...` or in the environment variable `{upper}`",
                key.name
            );
            self.problems
                .push(Problem::error(message, key.span).help(help));
        }
        (default.cloned(), Origin::Default)
    }

    fn not_of_type(&mut self, name: &str, text: &str, of_type: ParameterType, span: Option<Span>) {
        let expected = match of_type {
            ParameterType::Text => "text",
            ParameterType::Integer => "a whole number",
            ParameterType::Float => "a number",
            ParameterType::Boolean => "`true` or `false`",
            ParameterType::List => "a list such as `[1, 2]`",
        };
        if is_secret_name(name) {
            self.texts.keep_secret(text);
        }
        let message = format!("the parameter `{name}` is {expected}, not `{text}`");
        self.problems.push(Problem::error(message, span));
    }

    fn warn_of_accidents(&mut self, variable: &str, key: &Key) {
        if EVERYWHERE.contains(&variable) {
            let message = format!(
                "the parameter `{}` takes its value from the environment variable `{variable}`, which every machine has",
                key.name
            );
            self.problems.push(
                Problem::warning(message, key.span)
                    .help("give the parameter another name, or use `--set`"),
            );
        }
    }
}

/// A plain value; none for tables and lists of lists.
pub(crate) fn value_of(node: &Node) -> Option<Value> {
    Some(match &node.value {
        Tree::Boolean(b) => Value::Boolean(*b),
        Tree::Integer(n) => Value::Integer(*n),
        Tree::Float(x) => Value::Float(*x),
        Tree::Text(text) => Value::Text(text.clone()),
        Tree::List(list) => {
            let plain = |n: &Node| value_of(n).filter(|v| !matches!(v, Value::List(_)));
            Value::List(list.iter().map(plain).collect::<Option<_>>()?)
        }
        Tree::Table(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        file: &str,
        set: &[&str],
        environment: &[(&str, &str)],
    ) -> (Vec<Parameter>, Vec<String>) {
        let (mut texts, mut problems) = (Texts::default(), Problems::new());
        let mut entries = parse::document(file, texts.add("p.toml", file), &mut problems);
        let pairs = environment
            .iter()
            .map(|(k, v)| ((*k).to_string(), (*v).to_string()));
        let options = Load {
            set: set.iter().map(ToString::to_string).collect(),
            environment: pairs.collect(),
            ..Load::default()
        };
        let settings = Sets::read(&options, &mut texts, &mut problems);
        settings.apply(&mut entries, &mut problems);
        let root = Node::from(Tree::Table(entries));
        let list = parameters(
            root.get("params"),
            &settings,
            &options,
            &mut texts,
            &mut problems,
        );
        (
            list,
            problems.list().iter().map(|p| p.message.clone()).collect(),
        )
    }

    #[test]
    fn set_comes_before_the_environment_before_the_default() {
        let file = "[params]\nhot = { default = 80.0, help = 'too warm' }\nout = 'o'\nsub = '${out}/s'\nn = 1\nl = [1]";
        let (list, problems) = read(
            file,
            &["hot=90", "l=[2, 3]"],
            &[("OUT", "x"), ("n", "7"), ("HOT", "1")],
        );
        assert!(problems.is_empty(), "{problems:?}");
        let values: Vec<Value> = list.iter().filter_map(|p| p.value.clone()).collect();
        let expected = [
            Value::Float(90.0),
            Value::Text("x".into()),
            Value::Text("x/s".into()),
            Value::Integer(7),
            Value::List(vec![Value::Integer(2), Value::Integer(3)]),
        ];
        assert_eq!(values, expected);
        assert_eq!(list[0].help.as_deref(), Some("too warm"));
        assert_eq!(list[1].origin, Origin::Environment("OUT".into()));
        assert_eq!(list[0].default, Some(Value::Float(80.0)));
    }

    #[test]
    fn wrong_values_are_problems() {
        let file = "[params]\nn = 1\nneeded = { type = 'integer' }\nbad = { default = 'x', type = 'float' }\nt = { a = 1 }\n'x y' = 1";
        let (_, problems) = read(file, &["n=much", "m=1", "plain"], &[]);
        assert_eq!(
            problems,
            [
                "`--set` needs a name and a value",
                "the parameter `n` is a whole number, not `much`",
                "the parameter `needed` has no value",
                "the default 'x' is not of type `float`",
                "there is no key `a` here",
                "`x y` cannot be the name of a parameter",
                "the pipeline has no parameter `m`",
            ]
        );
    }

    #[test]
    fn dotted_names_set_any_key() {
        let (mut texts, mut problems) = (Texts::default(), Problems::new());
        let options = Load {
            set: vec![
                "engine.workers=2".into(),
                "sources.a.path=x y".into(),
                "name.x=1".into(),
            ],
            ..Load::default()
        };
        let settings = Sets::read(&options, &mut texts, &mut problems);
        let mut entries = parse::document("name = 'n'", 1000, &mut problems);
        settings.apply(&mut entries, &mut problems);
        let root = Node::from(Tree::Table(entries));
        let value = |table: &str, key: &str| {
            root.get(table)
                .and_then(|t| t.get(key))
                .map(|n| n.value.clone())
        };
        assert_eq!(value("engine", "workers"), Some(Tree::Integer(2)));
        let path = root
            .get("sources")
            .and_then(|t| t.get("a"))
            .and_then(|t| t.get("path"));
        assert_eq!(
            path.map(|n| n.value.clone()),
            Some(Tree::Text("x y".into()))
        );
        assert_eq!(problems.list().len(), 1);
    }
}

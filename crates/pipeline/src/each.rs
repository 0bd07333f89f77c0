//! `each`: one line that stands for many lines of `compute`, one per column whose name fits a pattern.
//!
//! `each = [{ columns = "pod_{m}_seconds", name = "pod_{m}_hours", value = "sum({column}) / 3600" }]`. A `{word}` in
//! `columns` stands for one or more characters; in `name` and `value` it is what it stood for, and `{column}` is the
//! column's name (in `value` as a quoted identifier). The lines come behind the written lines of `compute`, in the order
//! of the input's columns.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow_schema::Schema;
use dataflow_core::component::Component;
use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::{Located, Problem, Problems};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::schema;
use crate::texts::{Part, Texts};

/// Lines of `compute` written as one, for all columns whose names fit a pattern.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Each {
    /// The pattern of column names: `"pod_{m}_seconds"`. A word in braces stands for one or more characters.
    columns: Located<String>,
    /// The new column's name: `"pod_{m}_hours"`.
    name: Located<String>,
    /// The expression: `"sum({column}) / 3600"`.
    value: Located<String>,
}

impl Each {
    /// All of it as one text.
    pub fn text(&self) -> String {
        format!("{:?}", [&*self.columns, &*self.name, &*self.value])
    }
}

/// Whether the component has a table `compute` that lines can be added to.
pub(crate) fn has_compute(component: &Component) -> bool {
    schema::keys(component).iter().any(|key| key == "compute")
}

/// The configuration with the lines of all `each` behind those of its `compute`; none after a problem.
pub(crate) fn expand(
    config: &Node,
    each: &[Each],
    input: &Schema,
    texts: &mut Texts,
    problems: &mut Problems,
) -> Option<Node> {
    let mut lines = match config.get("compute").map(|n| &n.value) {
        Some(Tree::Table(lines)) => lines.clone(),
        Some(_) => return Some(config.clone()),
        None => Vec::new(),
    };
    let before = problems.list().len();
    for each in each {
        each.expand(input, &mut lines, texts, problems);
    }
    let mut node = config.clone();
    if let Tree::Table(entries) = &mut node.value {
        let span = each.first().and_then(|e| e.value.span);
        let compute = Node {
            value: Tree::Table(lines),
            span: config.get("compute").map_or(span, |n| n.span),
        };
        match entries.iter_mut().find(|(k, _)| k.name == "compute") {
            Some((_, old)) => *old = compute,
            None => entries.push((
                Key {
                    name: "compute".into(),
                    span,
                },
                compute,
            )),
        }
    }
    (problems.list().len() == before).then_some(node)
}

impl Each {
    fn expand(
        &self,
        input: &Schema,
        lines: &mut Vec<(Key, Node)>,
        texts: &mut Texts,
        problems: &mut Problems,
    ) {
        let Some([columns, name, value]) = self.templates(problems) else {
            return;
        };
        let mut any = false;
        for field in input.fields() {
            let Some(mut words) = columns.fit(field.name()) else {
                continue;
            };
            any = true;
            words.insert("column", field.name());
            let name = name.fill(&words, false).0;
            if lines.iter().any(|(key, _)| key.name == name) {
                let message = format!(
                    "`each` makes `{name}` of the column `{}`, but that name is taken",
                    field.name()
                );
                problems.push(
                    Problem::error(message, self.name.span)
                        .help("a word of `columns` in `name` keeps names apart"),
                );
                return;
            }
            let (expression, parts) = value.fill(&words, true);
            let span = texts.derive(self.value.span, expression.len(), parts);
            let key = Key {
                name,
                span: self.name.span,
            };
            let node = Node {
                value: Tree::Text(expression),
                span: Some(span),
            };
            lines.push((key, node));
        }
        if !any {
            let names: Vec<String> = input
                .fields()
                .iter()
                .map(|f| format!("`{}`", f.name()))
                .collect();
            let message = format!("no column fits `{}`", self.columns.value);
            let help = format!("the columns are {}", names.join(", "));
            problems.push(Problem::error(message, self.columns.span).help(help));
        }
    }

    fn templates(&self, problems: &mut Problems) -> Option<[Template<'_>; 3]> {
        let columns = Template::read(&self.columns);
        let mut wrong = false;
        for text in [&self.name, &self.value] {
            for (word, at) in Template::read(text).words() {
                if word != "column" && !columns.words().any(|(known, _)| known == word) {
                    let message = format!("`{{{word}}}` does not stand in `columns`");
                    problems.push(Problem::inside(message, text, at));
                    wrong = true;
                }
            }
        }
        (!wrong).then(|| {
            [
                columns,
                Template::read(&self.name),
                Template::read(&self.value),
            ]
        })
    }
}

/// Text with words in braces.
struct Template<'a> {
    text: &'a str,
    /// The parts of the text; of a word, the whole with its braces.
    parts: Vec<(bool, Range<usize>)>,
}

impl<'a> Template<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = Vec::new();
        let mut plain = 0;
        let mut at = 0;
        while let Some(found) = text[at..].find('{') {
            let start = at + found;
            let name = text[start + 1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            match name {
                Some(length) if length > 0 && text[start + 1 + length..].starts_with('}') => {
                    parts.push((false, plain..start));
                    at = start + length + 2;
                    parts.push((true, start..at));
                    plain = at;
                }
                _ => at = start + 1,
            }
        }
        parts.push((false, plain..text.len()));
        parts.retain(|(_, at)| !at.is_empty());
        Self { text, parts }
    }

    fn words(&self) -> impl Iterator<Item = (&'a str, Range<usize>)> + '_ {
        let words = self.parts.iter().filter(|(word, _)| *word);
        words.map(|(_, at)| (&self.text[at.start + 1..at.end - 1], at.clone()))
    }

    /// What each word stands for if the name fits: as few characters as possible, the same for the same word.
    fn fit<'n>(&self, name: &'n str) -> Option<BTreeMap<&'a str, &'n str>> {
        let mut words = BTreeMap::new();
        self.fit_from(0, name, &mut words).then_some(words)
    }

    fn fit_from<'n>(
        &self,
        part: usize,
        rest: &'n str,
        words: &mut BTreeMap<&'a str, &'n str>,
    ) -> bool {
        let Some((is_word, at)) = self.parts.get(part) else {
            return rest.is_empty();
        };
        let text = &self.text[at.clone()];
        if !is_word {
            return rest
                .strip_prefix(text)
                .is_some_and(|rest| self.fit_from(part + 1, rest, words));
        }
        let word = &text[1..text.len() - 1];
        if let Some(known) = words.get(word).copied() {
            return rest
                .strip_prefix(known)
                .is_some_and(|rest| self.fit_from(part + 1, rest, words));
        }
        let ends = rest.char_indices().map(|(i, c)| i + c.len_utf8());
        for end in ends {
            words.insert(word, &rest[..end]);
            if self.fit_from(part + 1, &rest[end..], words) {
                return true;
            }
        }
        words.remove(word);
        false
    }

    /// The text with words filled in; in an expression the column becomes a quoted identifier.
    fn fill(&self, words: &BTreeMap<&str, &str>, expression: bool) -> (String, Vec<Part>) {
        let (mut made, mut parts) = (String::new(), Vec::new());
        for (is_word, at) in &self.parts {
            let start = made.len();
            let text = &self.text[at.clone()];
            if !is_word {
                made.push_str(text);
            } else {
                let word = &text[1..text.len() - 1];
                let value = words.get(word).copied().unwrap_or_default();
                let quote = made.chars().next_back().filter(|c| *c == '"' || *c == '\'');
                match quote {
                    Some(quote) if expression => {
                        made.push_str(&value.replace(quote, &format!("{quote}{quote}")));
                    }
                    None if expression && word == "column" => {
                        made.push_str(&format!("\"{}\"", value.replace('"', "\"\"")));
                    }
                    _ => made.push_str(value),
                }
            }
            parts.push(Part {
                made: start..made.len(),
                written: at.clone(),
                verbatim: !is_word,
            });
        }
        (made, parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::{DataType, Field};

    fn run(columns: &str, name: &str, value: &str) -> (Vec<(String, String)>, Vec<String>) {
        let each = Each {
            columns: columns.to_string().into(),
            name: name.to_string().into(),
            value: value.to_string().into(),
        };
        let field = |name: &str| Field::new(name, DataType::Float64, true);
        let input = Schema::new(vec![
            field("b_cpu_s"),
            field("x"),
            field("b_mem_s"),
            field("V (\"x\")"),
        ]);
        let (mut texts, mut problems) = (Texts::default(), Problems::new());
        let config = Node::from(Tree::Table(Vec::new()));
        let node = expand(&config, &[each], &input, &mut texts, &mut problems);
        let lines = match node
            .as_ref()
            .and_then(|n| n.get("compute"))
            .map(|n| &n.value)
        {
            Some(Tree::Table(lines)) => lines.clone(),
            _ => Vec::new(),
        };
        let text = |node: Node| match node.value {
            Tree::Text(text) => text,
            other => panic!("{other:?}"),
        };
        let lines = lines.into_iter().map(|(k, v)| (k.name, text(v))).collect();
        (
            lines,
            problems.list().iter().map(|p| p.message.clone()).collect(),
        )
    }

    #[test]
    fn lines_are_made_in_column_order() {
        let (lines, problems) = run("b_{m}_s", "{m}_h", "sum({column}) / 3600 -- {m}");
        assert!(problems.is_empty(), "{problems:?}");
        let line = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(
            lines,
            [
                line("cpu_h", "sum(\"b_cpu_s\") / 3600 -- cpu"),
                line("mem_h", "sum(\"b_mem_s\") / 3600 -- mem"),
            ]
        );
        let (lines, _) = run("V{rest}", "v", "max({column}) + max(\"{column}\")");
        assert_eq!(
            lines[0].1,
            "max(\"V (\"\"x\"\")\") + max(\"V (\"\"x\"\")\")"
        );
    }

    #[test]
    fn mistakes_are_problems() {
        for (columns, name, value, message) in [
            ("c_{m}", "{m}", "1", "no column fits `c_{m}`"),
            (
                "b_{m}_s",
                "h",
                "1",
                "`each` makes `h` of the column `b_mem_s`, but that name is taken",
            ),
            ("b_{m}_s", "{n}", "1", "`{n}` does not stand in `columns`"),
        ] {
            assert_eq!(run(columns, name, value).1, [message]);
        }
    }
}

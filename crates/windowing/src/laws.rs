//! What holds for every listed window; and for tests, windows from a line of a pipeline file.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use dataflow_core::component::{Component, Kind};
use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::window::{Window, Written};
use dataflow_core::{Check, Problem, Problems, Span, StandardInput};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::list;

/// A line such as `window = { ... }` as a tree.
fn tree(line: &str) -> Node {
    let table = DeTable::parse(line).expect("TOML");
    let window = table.get_ref().get("window").expect("a window");
    node(window, line)
}

fn span<T>(value: &Spanned<T>) -> Option<Span> {
    let std::ops::Range { start, end } = value.span();
    Some(Span { start, end })
}

fn node(value: &Spanned<DeValue<'_>>, line: &str) -> Node {
    let text = &line[value.span()];
    let tree = match value.get_ref() {
        DeValue::String(text) => Tree::Text(text.to_string()),
        DeValue::Integer(_) => Tree::Integer(text.parse().expect("a number")),
        DeValue::Float(_) => Tree::Float(text.parse().expect("a number")),
        DeValue::Boolean(b) => Tree::Boolean(*b),
        DeValue::Datetime(time) => Tree::Text(time.to_string()),
        DeValue::Array(list) => Tree::List(list.iter().map(|item| node(item, line)).collect()),
        DeValue::Table(table) => {
            let entries = table.iter().map(|(name, value)| {
                let key = Key {
                    name: name.get_ref().to_string(),
                    span: span(name),
                };
                (key, node(value, line))
            });
            Tree::Table(entries.collect())
        }
    };
    Node {
        value: tree,
        span: span(value),
    }
}

fn build(line: &str) -> (Option<Window>, Vec<Problem>) {
    let catalog = list();
    let mut problems = Problems::new();
    let mut check = Check {
        id: "it",
        span: None,
        parameters: &BTreeMap::new(),
        catalog: &catalog,
        offline: true,
        stdin: &StandardInput::default(),
        run_time: 0,
        problems: &mut problems,
    };
    let written: Written = tree(line).read().expect("a tree of any shape");
    let window = written.build(&mut check);
    (window, problems.list().to_vec())
}

/// The window of these keys.
pub(crate) fn built(keys: &str) -> Window {
    let (window, problems) = build(&format!("window = {{ {keys} }}"));
    window.unwrap_or_else(|| panic!("{keys}: {problems:?}"))
}

/// What is wrong with these keys: the text that a problem points at, and its message.
pub(crate) fn refused(keys: &str) -> Vec<String> {
    let line = format!("window = {{ {keys} }}");
    let (window, problems) = build(&line);
    assert!(window.is_none(), "{keys} is taken");
    let said = problems.iter().map(|problem| {
        let place = problem.span.expect("a place");
        format!("{}: {}", &line[place.start..place.end], problem.message)
    });
    said.collect()
}

/// What is said to do about it.
pub(crate) fn help(keys: &str) -> Vec<String> {
    let (_, problems) = build(&format!("window = {{ {keys} }}"));
    problems.into_iter().filter_map(|p| p.help).collect()
}

/// The starts of the windows of these keys that hold an instant, and of the one behind them.
pub(crate) fn starts(keys: &str, time: &str) -> Vec<String> {
    let Window::Grid(grid) = built(keys) else {
        panic!("{keys} is no grid");
    };
    let text =
        |time| DateTime::from_timestamp_nanos(time).to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let time: DateTime<Utc> = time.parse().expect("a time");
    let time = time.timestamp_nanos_opt().expect("an instant");
    let (first, last) = grid.ends(time).expect("a window");
    let mut starts = vec![text(grid.start(first))];
    let mut end = first;
    while end <= last {
        end = grid.next(end);
        starts.push(text(grid.start(end)));
    }
    starts
}

#[test]
fn every_example_builds() {
    for component in list() {
        let (window, problems) = build(component.info.example);
        assert!(window.is_some(), "{component:?}: {problems:?}");
        assert_eq!(problems, [], "{component:?}");
    }
}

#[test]
fn every_window_refuses_keys_that_it_does_not_know() {
    for component in list() {
        let line = component.info.example.replace(" }", ", colour = 'red' }");
        let (window, problems) = build(&line);
        assert!(window.is_none(), "{component:?}");
        let place = problems[0].span.expect("a place");
        assert_eq!(&line[place.start..place.end], "colour", "{component:?}");
        assert_eq!(problems[0].message, "there is no key `colour` here");
    }
}

#[test]
fn every_other_name_leads_to_one_window() {
    let catalog = list();
    for component in &catalog {
        assert_eq!(component.kind(), Kind::Window);
        for other in component.info.also_called {
            let known =
                |c: &&Component| c.info.name == *other || c.info.also_called.contains(other);
            assert_eq!(catalog.iter().filter(known).count(), 1, "{other}");
            assert_eq!(
                help(&format!("type = '{other}'")),
                [format!("did you mean `{}`?", component.info.name)]
            );
        }
    }
}

//! The functions that an expression may call, under their names, and what to say of those that it may not.

pub(crate) mod arithmetic;
mod filling;
mod finite;
mod json;
pub(crate) mod nested;
mod pairs;
mod text;
mod words;

pub(crate) use json::quote as quoted;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use datafusion_expr::ScalarUDF;
use datafusion_functions::{core, datetime, math, regex, string, unicode};

/// Functions of DataFusion's core that mean something here.
const CORE: &[&str] = &[
    "arrow_typeof",
    "greatest",
    "least",
    "named_struct",
    "overlay",
];

/// Functions that the planner turns into something else: name, how it is written, what it gives.
const PLANNED: &[(&str, &str, &str)] = &[
    (
        "coalesce",
        "coalesce(a, b, ...)",
        "the first value that is not null; later ones are not computed where an earlier one is enough",
    ),
    (
        "div",
        "div(a, b)",
        "the whole-number quotient, towards zero; by zero fails the row (`/` of whole numbers gives a float)",
    ),
    ("ifnull", "ifnull(a, b)", "as `coalesce(a, b)`"),
    (
        "nullif",
        "nullif(a, b)",
        "null where both are equal, else `a`",
    ),
    ("nvl", "nvl(a, b)", "as `coalesce(a, b)`"),
    (
        "nvl2",
        "nvl2(a, b, c)",
        "`b` where `a` is not null, else `c`",
    ),
    (
        "run_time",
        "run_time()",
        "the moment when the run was first started, the same for every row and after every resume",
    ),
];

/// What is refused because its value changes from call to call.
const VOLATILE: &[(&str, &str)] = &[
    (
        "now",
        "use `run_time()`: the moment when the run was first started",
    ),
    (
        "current_timestamp",
        "use `run_time()`: the moment when the run was first started",
    ),
    (
        "localtimestamp",
        "use `run_time()`: the moment when the run was first started",
    ),
    ("current_date", "use `cast(run_time() as date)`"),
    ("today", "use `cast(run_time() as date)`"),
    ("current_time", "use `cast(run_time() as time)`"),
    ("localtime", "use `cast(run_time() as time)`"),
    (
        "random",
        "let a `generate` source make seeded random columns",
    ),
    ("rand", "let a `generate` source make seeded random columns"),
    (
        "uuid",
        "build a key from columns, such as `concat(file, '-', row)`",
    ),
    (
        "gen_random_uuid",
        "build a key from columns, such as `concat(file, '-', row)`",
    ),
];

/// Names that people try, and what they mean here.
const SPELLINGS: &[(&str, &str)] = &[
    ("array_length", "unnest the list and count"),
    ("ceiling", "write `ceil(x)`"),
    (
        "datediff",
        "subtract: `b - a` gives a duration, `date_part('epoch', b - a)` seconds",
    ),
    (
        "date_diff",
        "subtract: `b - a` gives a duration, `date_part('epoch', b - a)` seconds",
    ),
    ("day", "write `date_part('day', t)`"),
    ("hour", "write `date_part('hour', t)`"),
    ("if", "write `case when a then b else c end`"),
    ("iff", "write `case when a then b else c end`"),
    ("iif", "write `case when a then b else c end`"),
    ("isfinite", "write `finite(x) is not null`"),
    ("isinf", "write `finite(x) is null and not isnan(x)`"),
    ("isnull", "write `x is null`"),
    ("is_null", "write `x is null`"),
    ("json_extract", "write `json_get(j, 'key')`"),
    ("len", "write `length(x)`"),
    ("minute", "write `date_part('minute', t)`"),
    ("mod", "write `a % b`"),
    ("month", "write `date_part('month', t)`"),
    ("safe_cast", "write `try_cast(x as type)`"),
    ("sign", "write `signum(x)`"),
    ("strlen", "write `length(x)`"),
    ("to_number", "write `cast(x as double)`"),
    ("typeof", "write `arrow_typeof(x)`"),
    ("year", "write `date_part('year', t)`"),
];

/// Functions that give every row of floats or texts a value.
const INFALLIBLE: &[&str] = &[
    "abs",
    "acos",
    "acosh",
    "ascii",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bit_length",
    "btrim",
    "cbrt",
    "ceil",
    "character_length",
    "contains",
    "cos",
    "cosh",
    "degrees",
    "ends_with",
    "exp",
    "finite",
    "floor",
    "isnan",
    "iszero",
    "ln",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "nanvl",
    "octet_length",
    "radians",
    "reverse",
    "rtrim",
    "signum",
    "sin",
    "sinh",
    "starts_with",
    "strpos",
    "tan",
    "tanh",
    "upper",
];

/// Functions with a constant that says what to do, and which argument it is: a bad one is found before the first row.
const DIRECTED: &[(&str, usize)] = &[
    ("date_bin", 0),
    ("date_part", 0),
    ("date_trunc", 0),
    ("regexp_count", 1),
    ("regexp_instr", 1),
    ("regexp_like", 1),
    ("regexp_match", 1),
    ("regexp_replace", 1),
];

/// Functions with their names and other names.
static KNOWN: LazyLock<BTreeMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let core = core::functions();
    let core = core.into_iter().filter(|f| CORE.contains(&f.name()));
    let all = core
        .chain(datetime::functions())
        .chain(math::functions())
        .chain(regex::functions())
        .chain(string::functions())
        .chain(unicode::functions())
        .chain(json::functions())
        .chain(pairs::functions())
        .chain(filling::functions())
        .chain(finite::functions());
    let mut known = BTreeMap::new();
    for function in all.filter(|f| !VOLATILE.iter().any(|(name, _)| *name == f.name())) {
        for name in function.aliases() {
            known
                .entry(name.clone())
                .or_insert_with(|| Arc::clone(&function));
        }
        known.insert(function.name().to_string(), function);
    }
    for (name, _, _) in PLANNED {
        known.remove(*name);
    }
    known
});

/// A function by one of its names, in lower case.
pub(crate) fn find(name: &str) -> Option<Arc<ScalarUDF>> {
    KNOWN.get(name).cloned()
}

/// Why a name is refused, if it is one whose value changes from call to call: what to use instead.
pub(crate) fn volatile(name: &str) -> Option<&'static str> {
    look_up(VOLATILE, name)
}

/// What somebody probably means who writes this name.
pub(crate) fn spelling(name: &str) -> Option<&'static str> {
    look_up(SPELLINGS, name)
}

/// Whether no row of these floats or texts can fail.
pub(crate) fn infallible(name: &str) -> bool {
    INFALLIBLE.binary_search(&name).is_ok()
}

/// Which argument says what to do, if it must be right before the first row.
pub(crate) fn directed(name: &str) -> Option<usize> {
    look_up(DIRECTED, name)
}

fn look_up<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    let found = table.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| *value)
}

/// The names of all functions, sorted; other names of the same function are among them.
pub fn function_names() -> Vec<String> {
    let planned = PLANNED.iter().map(|(name, _, _)| (*name).to_string());
    let mut names: Vec<String> = KNOWN.keys().cloned().chain(planned).collect();
    names.sort();
    names.dedup();
    names
}

/// A function's page in the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionPage {
    /// Its name.
    pub name: String,
    /// How it is called.
    pub signature: String,
    /// What it gives: a sentence or two.
    pub summary: String,
    /// Its other names.
    pub also_called: Vec<String>,
}

/// A page for every function, sorted by name.
pub fn reference() -> Vec<FunctionPage> {
    let mut pages: BTreeMap<String, FunctionPage> = BTreeMap::new();
    for (name, signature, summary) in PLANNED {
        let page = FunctionPage {
            name: (*name).into(),
            signature: (*signature).into(),
            summary: (*summary).into(),
            also_called: Vec::new(),
        };
        pages.insert(page.name.clone(), page);
    }
    for function in KNOWN.values() {
        let name = function.name().to_string();
        let aliases = function.aliases().iter().filter(|alias| **alias != name);
        let (signature, summary) = written(function);
        let page = FunctionPage {
            signature,
            summary,
            also_called: aliases.cloned().collect(),
            name,
        };
        pages.insert(page.name.clone(), page);
    }
    pages.into_values().collect()
}

/// How a function is called and what it gives: from our list, or from the function itself where it is ours.
fn written(function: &ScalarUDF) -> (String, String) {
    let name = function.name();
    if let Ok(at) = words::WORDS.binary_search_by_key(&name, |(name, ..)| name) {
        let (_, signature, summary) = words::WORDS[at];
        return (signature.to_string(), summary.to_string());
    }
    match function.documentation() {
        Some(page) => (page.syntax_example.clone(), page.description.clone()),
        None => (format!("{name}(...)"), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion_expr::Volatility;

    #[test]
    fn tables_are_sorted_and_name_real_functions() {
        assert!(INFALLIBLE.is_sorted());
        for name in INFALLIBLE {
            assert!(find(name).is_some(), "{name}");
        }
        for (name, _) in DIRECTED {
            assert!(find(name).is_some(), "{name}");
        }
        for (name, _) in VOLATILE.iter().chain(SPELLINGS) {
            assert!(find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn every_function_is_a_function_of_its_arguments() {
        for (name, function) in KNOWN.iter() {
            let volatility = function.signature().volatility;
            assert_eq!(volatility, Volatility::Immutable, "{name}");
        }
    }

    #[test]
    fn every_function_has_a_page() {
        let pages = reference();
        assert!(pages.len() > 100, "{}", pages.len());
        assert!(words::WORDS.is_sorted_by_key(|(name, ..)| name));
        for (name, ..) in words::WORDS {
            assert!(pages.iter().any(|page| page.name == *name), "{name}");
        }
        for page in pages {
            assert!(!page.summary.is_empty(), "{}", page.name);
            assert!(page.signature.contains('('), "{page:?}");
        }
        assert!(function_names().iter().any(|name| name == "json_get"));
    }
}

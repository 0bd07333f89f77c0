//! Calls of functions, also those that SQL writes in a way of their own: `extract(.. from ..)`, `substring(.. for ..)`.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow_array::timezone::Tz;
use arrow_schema::{DataType, Field, FieldRef, TimeUnit};
use dataflow_core::component::{Component, Kind};
use dataflow_core::problem::did_you_mean;
use datafusion_common::ScalarValue;
use datafusion_common::config::ConfigOptions;
use datafusion_expr::type_coercion::functions::fields_with_udf;
use datafusion_expr::{Operator, ScalarUDF};
use datafusion_physical_expr::ScalarFunctionExpr;
use sqlparser::ast::{
    CeilFloorKind, DateTimeField, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, TrimWhereField,
};

use crate::build::{Part, apply, cast_to, is_float, is_text, null_test, unpack, word};
use crate::comparing::compare;
use crate::functions::{self, arithmetic};
use crate::kernel::said;
use crate::operators::case_term;
use crate::plan::{Accumulating, Planner};
use crate::term::{Node, Term};
use crate::unify::{Mismatch, unify};

/// DataFusion's options, as they are by default.
static OPTIONS: LazyLock<Arc<ConfigOptions>> = LazyLock::new(|| Arc::new(ConfigOptions::default()));

/// A call of a function with arguments of the right types.
pub(crate) fn call(
    function: Arc<ScalarUDF>,
    arguments: Vec<Term>,
    part: &Part<'_>,
    infallible: bool,
) -> Result<Term, String> {
    let make = |inputs, schema: &arrow_schema::Schema| {
        let options = Arc::clone(&OPTIONS);
        let call = ScalarFunctionExpr::try_new(function, inputs, schema, options)?;
        Ok(Arc::new(call) as _)
    };
    apply(arguments, part, infallible, make)
}

impl Planner<'_, '_> {
    /// The term of a call, or a report that this part of SQL is not known here.
    pub fn special_call(&mut self, tree: &Expr, at: &Range<usize>) -> Option<Term> {
        match tree {
            Expr::Function(function) => self.function(function, at),
            Expr::Extract { field, expr, .. } => {
                let field = field.to_string().to_lowercase();
                let field = field.trim_matches('\'').to_string();
                let field = Term::literal(ScalarValue::Utf8(Some(field)), at.clone());
                let of = self.term(expr)?;
                self.known("date_part", vec![field, of], at)
            }
            Expr::Ceil { expr, field } => self.rounded("ceil", expr, field, at),
            Expr::Floor { expr, field } => self.rounded("floor", expr, field, at),
            Expr::Position { expr, r#in } => self.known_of("strpos", &[r#in, expr], at),
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                let one = Term::literal(ScalarValue::Int64(Some(1)), at.clone());
                let text = self.term(expr);
                let from = match substring_from {
                    Some(from) => self.term(from),
                    None => Some(one),
                };
                let mut arguments = vec![text?, from?];
                if let Some(length) = substring_for {
                    arguments.push(self.term(length)?);
                }
                self.known("substr", arguments, at)
            }
            Expr::Trim {
                expr,
                trim_where,
                trim_what,
                trim_characters,
            } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "btrim",
                };
                let mut arguments = vec![expr.as_ref()];
                arguments.extend(trim_what.as_deref());
                arguments.extend(trim_characters.iter().flatten());
                self.known_of(name, &arguments, at)
            }
            Expr::Overlay {
                expr,
                overlay_what,
                overlay_from,
                overlay_for,
            } => {
                let mut arguments = vec![expr.as_ref(), overlay_what, overlay_from];
                arguments.extend(overlay_for.as_deref());
                self.known_of("overlay", &arguments, at)
            }
            other => {
                let written = other.to_string();
                let start: String = written.chars().take(40).collect();
                self.problem(at, format!("`{start}` is not known here"), None);
                None
            }
        }
    }

    fn rounded(
        &mut self,
        name: &str,
        of: &Expr,
        kind: &CeilFloorKind,
        at: &Range<usize>,
    ) -> Option<Term> {
        if !matches!(
            kind,
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime)
        ) {
            let help = "round a number with `round(x, digits)`, a time with `date_trunc('day', t)`";
            self.problem(at, format!("`{name}` takes one number"), Some(help.into()));
            return None;
        }
        self.known_of(name, &[of], at)
    }

    fn known_of(&mut self, name: &str, trees: &[&Expr], at: &Range<usize>) -> Option<Term> {
        let arguments: Vec<_> = trees.iter().map(|tree| self.term(tree)).collect();
        let arguments = arguments.into_iter().collect::<Option<Vec<_>>>()?;
        self.known(name, arguments, at)
    }

    /// A call of a function that exists.
    fn known(&mut self, name: &str, arguments: Vec<Term>, at: &Range<usize>) -> Option<Term> {
        match functions::find(name) {
            Some(function) => self.scalar_call(function, arguments, at),
            None => {
                self.problem(at, format!("there is no function `{name}`"), None);
                None
            }
        }
    }

    fn function(&mut self, function: &Function, at: &Range<usize>) -> Option<Term> {
        let name = function.name.to_string().to_lowercase();
        if function.over.is_some() {
            let help = "an expression sees one row: use a transform with a window";
            self.problem(at, "`over` is not known here", Some(help.into()));
            return None;
        }
        if let Some(instead) = functions::volatile(&name) {
            let message =
                format!("`{name}` gives another value at every call, so no run could be repeated");
            self.problem(at, message, Some(instead.into()));
            return None;
        }
        let component = self.accumulator(&name);
        if let Some(component) = component {
            return self.accumulate(&component, function, at);
        }
        let arguments = self.scalar_arguments(&name, function, at)?;
        let part = self.part(at);
        let built = match name.as_str() {
            "coalesce" | "nvl" | "ifnull" => coalesced(arguments, at.clone()),
            "nvl2" => match <[Term; 3]>::try_from(arguments) {
                Ok([a, b, c]) => {
                    let test = null_test(a, true, &part).map_err(Mismatch::from);
                    test.and_then(|test| case_term(vec![test], vec![b, c], at.clone()))
                }
                Err(_) => Err("it is called as `nvl2(a, b, c)`".to_string().into()),
            },
            "nullif" => return self.null_if(arguments, at),
            "div" => match <[Term; 2]>::try_from(arguments) {
                Ok([a, b]) => arithmetic::quotient(a, b, &part).map_err(Mismatch::from),
                Err(_) => Err("it is called as `div(a, b)`".to_string().into()),
            },
            "run_time" if arguments.is_empty() => {
                let now =
                    ScalarValue::TimestampNanosecond(Some(self.check.run_time), Some("UTC".into()));
                Ok(Term::literal(now, at.clone()))
            }
            _ => match functions::find(&name) {
                Some(function) => return self.scalar_call(function, arguments, at),
                None => Err("it takes no arguments".to_string().into()),
            },
        };
        let built = built.map_err(|mismatch| Mismatch {
            message: if mismatch.message.starts_with(&format!("`{name}` ")) {
                mismatch.message
            } else {
                format!("`{name}`: {}", mismatch.message)
            },
            help: mismatch.help,
        });
        self.settle(at, built)
    }

    fn null_if(&mut self, arguments: Vec<Term>, at: &Range<usize>) -> Option<Term> {
        let Ok([a, b]) = <[Term; 2]>::try_from(arguments) else {
            self.problem(at, "`nullif`: it is called as `nullif(a, b)`", None);
            return None;
        };
        let part = self.part(at);
        self.held(a, |planner, a| {
            let equal = compare(a.clone(), Operator::Eq, b, &part);
            let equal = planner.settle(at, equal)?;
            let null = Term::literal(ScalarValue::Null, at.clone());
            let built = case_term(vec![equal], vec![null, a], at.clone());
            planner.settle(at, built)
        })
    }

    /// An accumulator of the catalog, by its name.
    fn accumulator(&self, name: &str) -> Option<Component> {
        let mut known = self.check.catalog.iter();
        let found = known.find(|c| c.kind() == Kind::Accumulator && c.info.name == name);
        found.cloned()
    }

    fn scalar_arguments(
        &mut self,
        name: &str,
        function: &Function,
        at: &Range<usize>,
    ) -> Option<Vec<Term>> {
        let planned = functions::function_names();
        if planned
            .binary_search_by(|known| known.as_str().cmp(name))
            .is_err()
        {
            self.unknown_function(name, at);
            return None;
        }
        let list = match &function.args {
            FunctionArguments::List(list) => list,
            FunctionArguments::None => return Some(Vec::new()),
            FunctionArguments::Subquery(_) => {
                self.problem(at, "queries cannot stand in an expression", None);
                return None;
            }
        };
        let odd = function.filter.is_some()
            || !function.within_group.is_empty()
            || function.null_treatment.is_some()
            || list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
            || !list.clauses.is_empty();
        if odd {
            let message =
                format!("`{name}` is a function of one row: only its arguments may stand here");
            self.problem(at, message, None);
            return None;
        }
        let terms = list.args.iter().map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(tree)) => self.term(tree),
            FunctionArg::Unnamed(_) => {
                self.problem(at, "`*` can only stand in `count(*)`", None);
                None
            }
            _ => {
                self.problem(at, format!("`{name}` has no named arguments"), None);
                None
            }
        });
        let terms: Vec<_> = terms.collect();
        terms.into_iter().collect()
    }

    fn unknown_function(&mut self, name: &str, at: &Range<usize>) {
        let message = format!("there is no function `{name}`");
        let at = at.start..(at.start + name.len()).min(at.end);
        if let Some(instead) = functions::spelling(name) {
            return self.problem(&at, message, Some(instead.into()));
        }
        let accumulators = self
            .check
            .catalog
            .iter()
            .filter(|c| c.kind() == Kind::Accumulator);
        let accumulators: Vec<_> = accumulators.map(|c| c.info).collect();
        let other = accumulators
            .iter()
            .find(|info| info.also_called.contains(&name));
        if let Some(info) = other {
            let help = format!("it is called `{}` here: `{}`", info.name, info.example);
            return self.problem(&at, message, Some(help));
        }
        let scalar = functions::function_names();
        let known = scalar.iter().map(String::as_str);
        let known = known.chain(accumulators.iter().map(|info| info.name));
        let help = did_you_mean(name, known);
        self.problem(&at, message, help);
    }

    /// A call of a function of DataFusion's kind: arguments are cast to what it wants.
    fn scalar_call(
        &mut self,
        function: Arc<ScalarUDF>,
        arguments: Vec<Term>,
        at: &Range<usize>,
    ) -> Option<Term> {
        let unpacked = arguments
            .into_iter()
            .map(unpack)
            .collect::<Result<Vec<_>, _>>();
        let arguments = match unpacked {
            Ok(arguments) => arguments,
            Err(message) => {
                self.problem(at, message, None);
                return None;
            }
        };
        let fields = arguments.iter().map(|term| {
            Arc::new(Field::new("x", term.data_type.clone(), term.nullable)) as FieldRef
        });
        let fields: Vec<FieldRef> = fields.collect();
        let wanted = match fields_with_udf(&fields, function.as_ref()) {
            Ok(wanted) => wanted,
            Err(error) => {
                self.does_not_take(&function, &fields, &said(&error), at);
                return None;
            }
        };
        let arguments = self.coerced(&function, arguments, &wanted)?;
        let part = self.part(at);
        let name = function.name();
        if let ("date_part", [_, of]) = (name, &arguments[..])
            && let DataType::Duration(unit) = of.data_type
        {
            let seconds = seconds(&arguments, unit, &part);
            return self.settle(at, seconds);
        }
        if let Some(which) = functions::directed(name)
            && arguments
                .get(which)
                .is_some_and(|term| term.as_literal().is_some())
            && let Err(message) = tried(&function, &arguments, &part)
        {
            self.problem(at, message, None);
            return None;
        }
        let simple = |term: &Term| is_float(&term.data_type) || is_text(&term.data_type);
        let infallible = functions::infallible(name) && arguments.iter().all(simple);
        let term = call(function, arguments, &part, infallible);
        let term = self.settle(at, term)?;
        if let DataType::Timestamp(_, Some(zone)) = &term.data_type
            && zone.parse::<Tz>().is_err()
        {
            let message = format!("there is no time zone '{zone}'");
            let help = "such as 'Europe/Berlin' or '+02:00'";
            self.problem(at, message, Some(help.into()));
            return None;
        }
        let viewed = term.data_type == DataType::Utf8View;
        let plain = match viewed {
            // One kind of text behind all functions.
            true => cast_to(term, &DataType::Utf8, &part),
            false => Ok(term),
        };
        self.settle(at, plain)
    }

    fn does_not_take(
        &mut self,
        function: &ScalarUDF,
        fields: &[FieldRef],
        why: &str,
        at: &Range<usize>,
    ) {
        let name = function.name();
        let types: Vec<String> = fields.iter().map(|field| word(field.data_type())).collect();
        let message = format!("`{name}` does not take ({})", types.join(", "));
        let help = match function.documentation() {
            Some(page) => format!("it is called as `{}`", page.syntax_example),
            None => why.to_string(),
        };
        self.problem(at, message, Some(help));
    }
}

/// `date_part('epoch', duration)`, with its fraction, which DataFusion would cut off.
fn seconds(arguments: &[Term], unit: TimeUnit, part: &Part<'_>) -> Result<Term, String> {
    let [what, duration] = arguments else {
        return Err("it is called as `date_part(part, time)`".into());
    };
    match what.as_literal() {
        Some(ScalarValue::Utf8(Some(what))) if what.eq_ignore_ascii_case("epoch") => {}
        _ => return Err("a duration has only the part 'epoch': its seconds".into()),
    }
    let in_a_second = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let count = cast_to(duration.clone(), &DataType::Int64, part)?;
    let unit = Term::literal(ScalarValue::Int64(Some(in_a_second)), part.at.clone());
    arithmetic::ratio(count, unit, part)
}

/// Whether a call whose constants say what to do works at all, tried on empty texts and zero times.
fn tried(function: &Arc<ScalarUDF>, arguments: &[Term], part: &Part<'_>) -> Result<(), String> {
    let stand_in = |term: &Term| {
        if term.as_literal().is_some() {
            return term.clone();
        }
        let value = match &term.data_type {
            data_type if is_text(data_type) => {
                ScalarValue::Utf8(Some(String::new())).cast_to(data_type)
            }
            data_type if data_type.is_temporal() => ScalarValue::new_zero(data_type),
            data_type => ScalarValue::try_from(data_type),
        };
        Term::literal(value.unwrap_or(ScalarValue::Null), term.at.clone())
    };
    let arguments = arguments.iter().map(stand_in).collect();
    call(Arc::clone(function), arguments, part, false).map(|_| ())
}

fn coalesced(arguments: Vec<Term>, at: Range<usize>) -> Result<Term, Mismatch> {
    if arguments.is_empty() {
        return Err("it wants at least one argument".to_string().into());
    }
    let (terms, data_type) = unify(arguments)?;
    Ok(Term {
        data_type,
        nullable: terms.iter().all(|term| term.nullable),
        infallible: terms.iter().all(|term| term.infallible),
        at,
        node: Node::Coalesce(terms.into()),
    })
}

/// Used by calls to accumulators, which may stand nowhere else.
impl Accumulating<'_> {
    /// Why a call may not stand here.
    pub fn refusal(&self, name: &str) -> Option<(String, &'static str)> {
        match self {
            Self::Into(_) => None,
            Self::Inside => Some((
                format!("`{name}` cannot stand inside of another summary"),
                "summarise in one transform, and the result in a second one behind it",
            )),
            Self::Nowhere => Some((
                format!("`{name}` summarises many rows, but here every row stands for itself"),
                "use it in `compute` of an `aggregate`",
            )),
        }
    }
}

//! Operators: comparisons, arithmetic, logic, patterns, membership, `case`.

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::DataType;
use dataflow_core::source::{Comparison, Operator as Says};
use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use sqlparser::ast::{BinaryOperator, CaseWhen, Expr, UnaryOperator, Value, ValueWithSpan};

use crate::build::{binary, cast_to, negation, null_test, unpacked, word};
use crate::comparing::{compare, escaped, in_constants, liked, matching};
use crate::computing::{arithmetic_of, coerced_binary, negative};
use crate::plan::Planner;
use crate::term::{Node, Term};
use crate::unify::{Mismatch, unify};
use crate::values;

impl Planner<'_, '_> {
    /// The term of an operator; none (outside) when the tree is not one.
    pub fn operation(&mut self, tree: &Expr, at: &Range<usize>) -> Option<Option<Term>> {
        Some(match tree {
            Expr::BinaryOp { left, op, right } => self.binary_operator(left, op, right, at),
            Expr::UnaryOp { op, expr } => self.unary_operator(op, expr, at),
            Expr::IsNull(inner) => self.null_test(inner, false, at),
            Expr::IsNotNull(inner) => self.null_test(inner, true, at),
            Expr::IsTrue(inner) => self.truth_test(inner, Some(true), false, at),
            Expr::IsNotTrue(inner) => self.truth_test(inner, Some(true), true, at),
            Expr::IsFalse(inner) => self.truth_test(inner, Some(false), false, at),
            Expr::IsNotFalse(inner) => self.truth_test(inner, Some(false), true, at),
            Expr::IsUnknown(inner) => self.truth_test(inner, None, false, at),
            Expr::IsNotUnknown(inner) => self.truth_test(inner, None, true, at),
            Expr::IsDistinctFrom(left, right) => {
                self.comparison(left, Operator::IsDistinctFrom, right, at)
            }
            Expr::IsNotDistinctFrom(left, right) => {
                self.comparison(left, Operator::IsNotDistinctFrom, right, at)
            }
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => self.between(expr, low, high, *negated, at),
            Expr::InList {
                expr,
                list,
                negated,
            } => self.in_list(expr, list, *negated, at),
            Expr::Like {
                negated,
                any: false,
                expr,
                pattern,
                escape_char,
            } => self.like(expr, pattern, escape_char.as_deref(), (*negated, false), at),
            Expr::ILike {
                negated,
                any: false,
                expr,
                pattern,
                escape_char,
            } => self.like(expr, pattern, escape_char.as_deref(), (*negated, true), at),
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(operand.as_deref(), conditions, else_result.as_deref(), at),
            _ => return None,
        })
    }

    fn binary_operator(
        &mut self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        at: &Range<usize>,
    ) -> Option<Term> {
        use BinaryOperator as Sql;
        let operator = match op {
            Sql::And | Sql::Or => return self.junction(left, op, right, at),
            Sql::Eq => Operator::Eq,
            Sql::NotEq => Operator::NotEq,
            Sql::Lt => Operator::Lt,
            Sql::LtEq => Operator::LtEq,
            Sql::Gt => Operator::Gt,
            Sql::GtEq => Operator::GtEq,
            Sql::Plus => Operator::Plus,
            Sql::Minus => Operator::Minus,
            Sql::Multiply => Operator::Multiply,
            Sql::Divide => Operator::Divide,
            Sql::Modulo => Operator::Modulo,
            Sql::StringConcat => Operator::StringConcat,
            Sql::BitwiseAnd => Operator::BitwiseAnd,
            Sql::BitwiseOr => Operator::BitwiseOr,
            Sql::PGBitwiseShiftLeft => Operator::BitwiseShiftLeft,
            Sql::PGBitwiseShiftRight => Operator::BitwiseShiftRight,
            Sql::PGRegexMatch => Operator::RegexMatch,
            Sql::PGRegexIMatch => Operator::RegexIMatch,
            Sql::PGRegexNotMatch => Operator::RegexNotMatch,
            Sql::PGRegexNotIMatch => Operator::RegexNotIMatch,
            other => return self.unknown_operator(other, at),
        };
        if compares(operator) {
            return self.comparison(left, operator, right, at);
        }
        let left = self.term(left);
        let right = self.term(right);
        let (left, right) = (left?, right?);
        let part = self.part(at);
        let term = match operator {
            Operator::Plus
            | Operator::Minus
            | Operator::Multiply
            | Operator::Divide
            | Operator::Modulo => arithmetic_of(left, operator, right, &part),
            Operator::RegexMatch
            | Operator::RegexIMatch
            | Operator::RegexNotMatch
            | Operator::RegexNotIMatch => matching(left, operator, right, &part),
            _ => coerced_binary(left, operator, right, &part).map_err(Mismatch::from),
        };
        self.settle(at, term)
    }

    fn unknown_operator(&mut self, op: &BinaryOperator, at: &Range<usize>) -> Option<Term> {
        let help = match op.to_string().as_str() {
            "^" | "**" => "write power(a, b)",
            "&&" => "write `and`",
            "//" | "DIV" => "write div(a, b)",
            "==" => "write `=`",
            "->" | "->>" => "write json_get(a, 'key')",
            "XOR" => "write `a <> b` of two booleans",
            _ => {
                "the operators are + - * / % || = <> < <= > >= and or not in like between is ~ & | << >>"
            }
        };
        self.problem(
            at,
            format!("there is no operator `{op}`"),
            Some(help.into()),
        );
        None
    }

    /// A chain of `and`, or of `or`, as one term.
    fn junction(
        &mut self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        at: &Range<usize>,
    ) -> Option<Term> {
        let mut links = vec![right];
        let mut rest = left;
        while let Expr::BinaryOp {
            left,
            op: inner,
            right,
        } = rest
        {
            if inner != op {
                break;
            }
            links.push(right);
            rest = left;
        }
        links.push(rest);
        let all = *op == BinaryOperator::And;
        let terms: Vec<_> = links
            .iter()
            .rev()
            .map(|link| self.condition(link))
            .collect();
        let terms = terms.into_iter().collect::<Option<Vec<_>>>()?;
        Some(joined(all, terms, at.clone()))
    }

    /// A term that is true, false or null.
    pub fn condition(&mut self, tree: &Expr) -> Option<Term> {
        let term = self.term(tree)?;
        let at = term.at.clone();
        match unpacked(&term.data_type) {
            DataType::Boolean | DataType::Null => {
                let part = self.part(&at);
                let cast = cast_to(term, &DataType::Boolean, &part);
                self.settle(&at, cast)
            }
            other => {
                let message = format!("this must be a condition, but it is {}", word(other));
                let help = "compare it with something, such as `x > 0` or `x is not null`";
                self.problem(&at, message, Some(help.into()));
                None
            }
        }
    }

    fn unary_operator(&mut self, op: &UnaryOperator, of: &Expr, at: &Range<usize>) -> Option<Term> {
        match op {
            UnaryOperator::Not => {
                let term = self.condition(of)?;
                let part = self.part(at);
                self.settle(at, negation(term, &part))
            }
            UnaryOperator::Minus => {
                // `- 9223372036854775808` is a number, its positive is none.
                if let Expr::Value(ValueWithSpan {
                    value: Value::Number(digits, _),
                    ..
                }) = of
                {
                    let literal = values::number(&format!("-{digits}"));
                    let literal = literal.map(|scalar| Term::literal(scalar, at.clone()));
                    return self.settle(at, literal);
                }
                let term = self.term(of)?;
                let part = self.part(at);
                self.settle(at, negative(term, &part))
            }
            UnaryOperator::Plus => {
                let term = self.term(of)?;
                if unpacked(&term.data_type).is_numeric() {
                    return Some(term);
                }
                let message = format!("`+` wants a number, not {}", word(&term.data_type));
                self.problem(at, message, None);
                None
            }
            other => {
                self.problem(at, format!("there is no operator `{other}`"), None);
                None
            }
        }
    }

    fn null_test(&mut self, inner: &Expr, negated: bool, at: &Range<usize>) -> Option<Term> {
        let inner = self.term(inner)?;
        let column = inner.as_column().map(|field| field.name().clone());
        let part = self.part(at);
        let mut term = self.settle(at, null_test(inner, negated, &part))?;
        if let (Some(column), Node::Apply { says, .. }) = (column, &mut term.node) {
            let operator = if negated {
                Says::IsNotNull
            } else {
                Says::IsNull
            };
            *says = Some(Arc::new(Comparison {
                column,
                operator,
                value: dataflow_core::Value::Null,
            }));
        }
        Some(term)
    }

    fn truth_test(
        &mut self,
        inner: &Expr,
        truth: Option<bool>,
        negated: bool,
        at: &Range<usize>,
    ) -> Option<Term> {
        let inner = self.condition(inner)?;
        let truth = Term::literal(ScalarValue::Boolean(truth), at.clone());
        let op = if negated {
            Operator::IsDistinctFrom
        } else {
            Operator::IsNotDistinctFrom
        };
        let part = self.part(at);
        self.settle(at, binary(inner, op, truth, &part, true))
    }

    fn comparison(
        &mut self,
        left: &Expr,
        op: Operator,
        right: &Expr,
        at: &Range<usize>,
    ) -> Option<Term> {
        let left = self.term(left);
        let right = self.term(right);
        let (left, right) = (left?, right?);
        let part = self.part(at);
        self.settle(at, compare(left, op, right, &part))
    }

    /// Holds a value that several terms use, unless it costs nothing to compute.
    pub fn held(
        &mut self,
        value: Term,
        body: impl FnOnce(&mut Self, Term) -> Option<Term>,
    ) -> Option<Term> {
        if matches!(value.node, Node::Column { .. } | Node::Literal(_)) {
            return body(self, value);
        }
        let slot = self.slot();
        let field = arrow_schema::Field::new("", value.data_type.clone(), value.nullable);
        let stand_in = Term::column(slot, Arc::new(field), value.at.clone());
        let body = body(self, stand_in)?;
        Some(Term {
            data_type: body.data_type.clone(),
            nullable: body.nullable,
            infallible: value.infallible && body.infallible,
            at: body.at.clone(),
            node: Node::Let {
                slot,
                value: Arc::new(value),
                body: Arc::new(body),
            },
        })
    }

    fn between(
        &mut self,
        value: &Expr,
        low: &Expr,
        high: &Expr,
        negated: bool,
        at: &Range<usize>,
    ) -> Option<Term> {
        let value = self.term(value);
        let low = self.term(low);
        let high = self.term(high);
        let (value, low, high) = (value?, low?, high?);
        let part = self.part(at);
        self.held(value, |planner, value| {
            let above = compare(value.clone(), Operator::GtEq, low, &part);
            let above = planner.settle(at, above)?;
            let below = compare(value, Operator::LtEq, high, &part);
            let below = planner.settle(at, below)?;
            let both = joined(true, vec![above, below], at.clone());
            match negated {
                true => planner.settle(at, negation(both, &part)),
                false => Some(both),
            }
        })
    }

    fn in_list(
        &mut self,
        value: &Expr,
        list: &[Expr],
        negated: bool,
        at: &Range<usize>,
    ) -> Option<Term> {
        let value = self.term(value);
        let items: Vec<_> = list.iter().map(|item| self.term(item)).collect();
        let items = items.into_iter().collect::<Option<Vec<_>>>()?;
        let value = value?;
        let mut flat = Vec::new();
        for item in items {
            match item.as_literal().and_then(values::items) {
                Some(values) => flat.extend(
                    values
                        .into_iter()
                        .map(|value| Term::literal(value, item.at.clone())),
                ),
                None => flat.push(item),
            }
        }
        if flat.is_empty() {
            return Some(Term::literal(
                ScalarValue::Boolean(Some(negated)),
                at.clone(),
            ));
        }
        let part = self.part(at);
        if flat.iter().all(|item| item.as_literal().is_some()) {
            return self.settle(at, in_constants(value, flat, negated, &part));
        }
        self.held(value, |planner, value| {
            let mut any = Vec::new();
            for item in flat {
                let equal = compare(value.clone(), Operator::Eq, item, &part);
                any.push(planner.settle(at, equal)?);
            }
            let any = joined(false, any, at.clone());
            match negated {
                true => planner.settle(at, negation(any, &part)),
                false => Some(any),
            }
        })
    }

    fn like(
        &mut self,
        value: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
        (negated, any_case): (bool, bool),
        at: &Range<usize>,
    ) -> Option<Term> {
        let value = self.term(value);
        let pattern = self.term(pattern);
        let escape = match escape {
            Some(tree) => Some(self.constant(tree)?),
            None => None,
        };
        let (value, pattern) = (value?, pattern?);
        let part = self.part(at);
        let built = escaped(pattern, escape)
            .and_then(|pattern| liked(value, pattern, negated, any_case, &part));
        self.settle(at, built)
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
        at: &Range<usize>,
    ) -> Option<Term> {
        let operand = match operand {
            Some(tree) => Some(self.term(tree)?),
            None => None,
        };
        let results = conditions.iter().map(|when| self.term(&when.result));
        let mut results: Vec<_> = results.collect();
        results.push(match otherwise {
            Some(tree) => self.term(tree),
            None => Some(Term::literal(ScalarValue::Null, at.clone())),
        });
        match operand {
            None => {
                let whens = conditions
                    .iter()
                    .map(|when| self.condition(&when.condition));
                let whens: Vec<_> = whens.collect();
                self.case_of(whens, results, at)
            }
            Some(operand) => self.held(operand, |planner, operand| {
                let whens = conditions.iter().map(|when| {
                    let value = planner.term(&when.condition)?;
                    let at = value.at.clone();
                    let part = planner.part(&at);
                    let equal = compare(operand.clone(), Operator::Eq, value, &part);
                    planner.settle(&at, equal)
                });
                let whens: Vec<_> = whens.collect();
                planner.case_of(whens, results, at)
            }),
        }
    }

    fn case_of(
        &mut self,
        whens: Vec<Option<Term>>,
        results: Vec<Option<Term>>,
        at: &Range<usize>,
    ) -> Option<Term> {
        let whens = whens.into_iter().collect::<Option<Vec<_>>>()?;
        let results = results.into_iter().collect::<Option<Vec<_>>>()?;
        let built = case_term(whens, results, at.clone());
        self.settle(at, built)
    }
}

fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
    )
}

/// `case when .. then .. else .. end`; `results` has one more than `whens`.
pub(crate) fn case_term(
    whens: Vec<Term>,
    results: Vec<Term>,
    at: Range<usize>,
) -> Result<Term, Mismatch> {
    let (mut results, data_type) = unify(results)?;
    let nullable = results.iter().any(|term| term.nullable);
    let Some(otherwise) = results.pop() else {
        return Err("a case needs a result".to_string().into());
    };
    let infallible = whens.iter().chain(&results).all(|term| term.infallible);
    Ok(Term {
        data_type,
        nullable,
        infallible: infallible && otherwise.infallible,
        at,
        node: Node::Case {
            branches: whens.into_iter().zip(results).collect(),
            otherwise: Arc::new(otherwise),
        },
    })
}

fn joined(all: bool, terms: Vec<Term>, at: Range<usize>) -> Term {
    Term {
        data_type: DataType::Boolean,
        nullable: terms.iter().any(|term| term.nullable),
        infallible: terms.iter().all(|term| term.infallible),
        at,
        node: Node::Junction {
            all,
            terms: terms.into(),
        },
    }
}

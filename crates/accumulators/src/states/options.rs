//! Reading a call: how many columns it has, and its literal and named arguments, with problems that point at them.

use arrow_schema::DataType;
use dataflow_core::Value;
use dataflow_core::accumulator::{Argument, Call, CallProblem};
use dataflow_core::problem::did_you_mean;
use dataflow_core::words::type_word;

use super::keys::plain;

/// The arguments of a call; what is not asked for is a problem at the end.
pub(crate) struct Options<'a> {
    call: &'a Call,
    usage: &'static str,
    taken: Vec<bool>,
    known: Vec<&'static str>,
}

impl<'a> Options<'a> {
    /// The arguments of a call that takes this many columns; `usage` shows how it is written.
    pub(crate) fn of(
        call: &'a Call,
        columns: usize,
        usage: &'static str,
    ) -> Result<Self, CallProblem> {
        let found = call.arguments.len();
        if found != columns {
            let noun = if columns == 1 { "column" } else { "columns" };
            let message = format!("this takes {columns} {noun}, and {found} are given");
            return Err(CallProblem::new(message).help(format!("write `{usage}`")));
        }
        Ok(Self {
            call,
            usage,
            taken: vec![false; call.options.len()],
            known: Vec::new(),
        })
    }

    /// The type that a column is taken in as.
    pub(crate) fn column(&self, column: usize) -> DataType {
        plain(self.call.arguments[column].data_type())
    }

    /// The argument of this name.
    pub(crate) fn named(&mut self, name: &'static str) -> Option<&'a Argument> {
        self.known.push(name);
        self.take(|argument| argument.name == name)
    }

    /// The argument of this name, or the first literal that has none.
    pub(crate) fn needed(&mut self, name: &'static str) -> Result<&'a Argument, CallProblem> {
        let found = match self.named(name) {
            Some(found) => Some(found),
            None => self.take(|argument| argument.name.is_empty()),
        };
        found.ok_or_else(|| {
            CallProblem::new(format!("`{name}` is missing")).help(format!("write `{}`", self.usage))
        })
    }

    fn take(&mut self, fits: impl Fn(&Argument) -> bool) -> Option<&'a Argument> {
        let mut all = self.call.options.iter().zip(&mut self.taken);
        let (found, taken) = all.find(|(argument, taken)| !**taken && fits(argument))?;
        *taken = true;
        Some(found)
    }

    /// That nothing is left over.
    pub(crate) fn end(self) -> Result<(), CallProblem> {
        let mut all = self.call.options.iter().zip(&self.taken);
        let Some((extra, _)) = all.find(|(_, taken)| !**taken) else {
            return Ok(());
        };
        let (message, near) = if extra.name.is_empty() {
            (format!("{} is one argument too many", extra.value), None)
        } else {
            let near = did_you_mean(&extra.name, self.known.iter().copied());
            (format!("there is no argument `{}`", extra.name), near)
        };
        let help = near.unwrap_or_else(|| format!("write `{}`", self.usage));
        Err(CallProblem::new(message).help(help).at(extra.at.clone()))
    }
}

/// A problem with an argument.
pub(crate) fn wrong(argument: &Argument, what: &str) -> CallProblem {
    CallProblem::new(format!("{} is not {what}", argument.value)).at(argument.at.clone())
}

/// The number that an argument is.
pub(crate) fn number(argument: &Argument) -> Result<f64, CallProblem> {
    let found = argument.value.number().filter(|x| x.is_finite());
    found.ok_or_else(|| wrong(argument, "a number"))
}

/// The whole number between `least` and `most` that an argument is.
pub(crate) fn whole(argument: &Argument, least: i64, most: i64) -> Result<usize, CallProblem> {
    match argument.value {
        Value::Integer(n) if (least..=most).contains(&n) => Ok(n as usize),
        _ => Err(wrong(
            argument,
            &format!("a whole number from {least} to {most}"),
        )),
    }
}

/// The numbers of the list that an argument is.
pub(crate) fn numbers(argument: &Argument) -> Result<Vec<f64>, CallProblem> {
    let Value::List(list) = &argument.value else {
        return Err(wrong(argument, "a list of numbers").help("write `[0.1, 0.9]`"));
    };
    let numbers = list.iter().map(|v| v.number().filter(|x| x.is_finite()));
    let found: Option<Vec<f64>> = numbers.collect();
    found.ok_or_else(|| wrong(argument, "a list of numbers"))
}

/// That a column of this type cannot be summarised so.
pub(crate) fn unfit(data_type: &DataType, wants: &str, help: &str) -> CallProblem {
    CallProblem::new(format!(
        "the column is {}, and this needs {wants}",
        type_word(data_type)
    ))
    .help(help)
}

#[cfg(test)]
mod tests {
    use super::super::testing::call;
    use super::*;

    #[test]
    fn arguments_are_found_by_name_or_place() {
        let given = call(
            &[DataType::Int64],
            &[("", Value::Float(0.5)), ("exact_up_to", Value::Integer(3))],
        );
        let mut options = Options::of(&given, 1, "quantile(x, 0.99)").expect("one column");
        assert_eq!(number(options.needed("q").expect("given")), Ok(0.5));
        let bound = options.named("exact_up_to").expect("given");
        assert_eq!(whole(bound, 0, 9), Ok(3));
        assert!(whole(bound, 5, 9).is_err());
        assert_eq!(options.end(), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let given = call(&[DataType::Int64], &[("edge", Value::Integer(3))]);
        let missing = Options::of(&given, 2, "arg_min(x, by)").map(|_| ());
        let problem = missing.expect_err("one column is missing");
        assert_eq!(problem.message, "this takes 2 columns, and 1 are given");
        let mut options = Options::of(&given, 1, "histogram(x, edges => [0, 1])").expect("fits");
        assert!(options.named("edges").is_none());
        let problem = options.end().expect_err("an unknown name");
        assert_eq!(problem.help.as_deref(), Some("did you mean `edges`?"));
    }
}

//! The columns that a table adds to the rows that match it: all but its keys, under a prefix if that is wanted.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{FieldRef, Schema};
use dataflow_core::transform::{Columns, Input};
use dataflow_core::{Check, Located};

/// The columns that a table adds.
#[derive(Clone, Debug)]
pub(crate) struct Added {
    /// The name in the table, and what becomes of the column.
    columns: Vec<(String, FieldRef)>,
}

impl Added {
    /// All columns of the table but `keys`; they may be null if rows without a match leave as well. Reports names that there would
    /// be twice.
    pub(crate) fn check(
        main: &Schema,
        (table, keys): (&Input, &[String]),
        (at, prefix): (&Located<String>, &Option<Located<String>>),
        nullable: bool,
        check: &mut Check<'_>,
    ) -> Option<Self> {
        let fields = table.schema.fields().iter();
        let fields = fields.filter(|field| !keys.contains(field.name()));
        let before = prefix.as_ref().map_or("", |prefix| prefix.as_str());
        let columns: Vec<(String, FieldRef)> = fields
            .map(|field| {
                let nullable = nullable || field.is_nullable();
                let name = format!("{before}{}", field.name());
                let made = field.as_ref().clone().with_name(name);
                (field.name().clone(), Arc::new(made.with_nullable(nullable)))
            })
            .collect();
        let mut names: BTreeSet<&str> = main.fields().iter().map(|f| f.name().as_str()).collect();
        let mut new = columns.iter().map(|(_, field)| field.name());
        let Some(twice) = new.find(|name| !names.insert(name)) else {
            return Some(Self { columns });
        };
        let help = match prefix {
            Some(_) => "set another `prefix`, or rename or drop one of them before".to_string(),
            None => {
                let id = at.split('.').next().unwrap_or_default();
                format!("set `prefix`: with `prefix = \"{id}_\"` it is `{id}_{twice}`")
            }
        };
        let message = format!("there would be two columns `{twice}`");
        check.error_at(prefix.as_ref().unwrap_or(at), message, Some(help));
        None
    }

    /// What becomes of the columns.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &FieldRef> {
        self.columns.iter().map(|(_, field)| field)
    }

    /// The names in the table.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().map(|(name, _)| name)
    }

    /// The table's columns that are behind columns in use.
    pub(crate) fn behind(&self, wanted: &Columns) -> Columns {
        let Columns::Some(wanted) = wanted else {
            return Columns::All;
        };
        let used = self.columns.iter();
        let used = used.filter(|(_, field)| wanted.contains(field.name()));
        Columns::named(used.map(|(name, _)| name.clone()))
    }

    /// The main input's columns that are in use, with its keys: those that are not the table's.
    pub(crate) fn beside(&self, wanted: &Columns, keys: &[String]) -> Columns {
        let Columns::Some(wanted) = wanted else {
            return Columns::All;
        };
        let mine = |name: &&String| !self.fields().any(|field| field.name() == *name);
        let used = wanted.iter().filter(mine).chain(keys);
        Columns::named(used.cloned())
    }
}

//! Values that rows are grouped or sorted by: a column by its name, or an expression over columns.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow_core::batch::rows_of;
use dataflow_core::order::Keys;
use dataflow_core::stage::BadRows;
use dataflow_core::transform::Columns;
use dataflow_core::{Batch, Check, Error, Located, Result};
pub(crate) use dataflow_expressions::reject_once;
use dataflow_expressions::{Expression, Failure};

use crate::config::{By, column_index};

/// A column, or an expression over columns, whose values are keys.
#[derive(Clone, Debug)]
pub(crate) struct KeyColumn {
    from: From,
    field: Field,
}

#[derive(Clone, Debug)]
enum From {
    Column(String),
    Expression(Box<Expression>),
}

impl KeyColumn {
    /// The column of this name.
    pub(crate) fn named(
        name: &Located<String>,
        schema: &SchemaRef,
        check: &mut Check<'_>,
    ) -> Option<Self> {
        let field = schema.field(column_index(name, schema, check)?);
        let key = Self {
            from: From::Column(name.value.clone()),
            field: plain_field(field, name),
        };
        key.ordered(name, check)
    }

    /// The columns of these names, or expressions under a name.
    pub(crate) fn all(by: &By, schema: &SchemaRef, check: &mut Check<'_>) -> Option<Vec<Self>> {
        // All of them are checked before one of them fails, so that all problems are found.
        let keys: Vec<Option<Self>> = match by {
            By::Columns(names) => names
                .iter()
                .map(|name| Self::named(name, schema, check))
                .collect(),
            By::Named(lines) => lines
                .iter()
                .map(|(name, text)| Self::expression(name, text, schema, check))
                .collect(),
        };
        keys.into_iter().collect()
    }

    /// The column of this name if there is one, else the expression.
    pub(crate) fn written(
        text: &Located<String>,
        schema: &SchemaRef,
        check: &mut Check<'_>,
    ) -> Option<Self> {
        if schema.field_with_name(text).is_ok() {
            return Self::named(text, schema, check);
        }
        Self::expression(text, text, schema, check)
    }

    /// The expression, under a name.
    pub(crate) fn expression(
        name: &str,
        text: &Located<String>,
        schema: &SchemaRef,
        check: &mut Check<'_>,
    ) -> Option<Self> {
        let expression = Expression::check(text, schema, check)?;
        let key = Self {
            field: plain_field(&expression.field(name), name),
            from: match expression.is_column() {
                // Read as it comes, so that a dictionary stays one.
                Some(column) => From::Column(column.to_string()),
                None => From::Expression(Box::new(expression)),
            },
        };
        key.ordered(text, check)
    }

    fn ordered(self, at: &Located<String>, check: &mut Check<'_>) -> Option<Self> {
        if Keys::ascending(&[self.field.data_type().clone()]).is_err() {
            let message = format!(
                "values of type {} have no order, so rows cannot be grouped or sorted by them",
                self.field.data_type()
            );
            check.error_at(at, message, Some("choose a part of it".into()));
            return None;
        }
        Some(self)
    }

    /// Its name and type; a dictionary's is the type of its values.
    pub(crate) fn field(&self) -> &Field {
        &self.field
    }

    /// The column's name, if it is nothing else.
    pub(crate) fn is_column(&self) -> Option<&str> {
        match &self.from {
            From::Column(name) => Some(name),
            From::Expression(_) => None,
        }
    }

    /// The input columns that it reads.
    pub(crate) fn columns(&self) -> BTreeSet<String> {
        match &self.from {
            From::Column(name) => BTreeSet::from([name.clone()]),
            From::Expression(expression) => expression.columns(),
        }
    }

    /// Its values, which may be dictionaries, and the rows where it failed.
    pub(crate) fn evaluate(&self, rows: &RecordBatch) -> Result<(ArrayRef, Vec<Failure>)> {
        match &self.from {
            From::Column(name) => Ok((column(rows, name)?, Vec::new())),
            From::Expression(expression) => {
                let evaluated = expression.evaluate(rows);
                Ok((evaluated.values, evaluated.failed))
            }
        }
    }
}

fn plain_field(field: &Field, name: &str) -> Field {
    Field::new(name, plain_type(field.data_type()), field.is_nullable())
}

/// The type of the values: what a dictionary holds, other types as they are.
pub(crate) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        other => other.clone(),
    }
}

/// The column in another form of the same values: a dictionary unpacked, say. Free where nothing is to be done.
pub(crate) fn in_type(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if array.data_type() == data_type {
        return Ok(Arc::clone(array));
    }
    Ok(arrow_cast::cast(array, data_type)?)
}

/// The column of this name in a batch.
pub(crate) fn column(rows: &RecordBatch, name: &str) -> Result<ArrayRef> {
    let found = rows.column_by_name(name).map(Arc::clone);
    found.ok_or_else(|| Error::internal(format!("a batch came without its column `{name}`")))
}

/// The batch with its columns in the types of `schema`, so that batches can be put together; columns that were not
/// read stay away.
pub(crate) fn conform(batch: Batch, schema: &Schema) -> Result<Batch> {
    let rows = batch.rows();
    let declared = |i: usize| {
        let name = rows.schema_ref().field(i).name();
        let field = schema.field_with_name(name);
        field.map_or_else(
            |_| rows.column(i).data_type().clone(),
            |f| f.data_type().clone(),
        )
    };
    if (0..rows.num_columns()).all(|i| rows.column(i).data_type() == &declared(i)) {
        return Ok(batch);
    }
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (i, array) in rows.columns().iter().enumerate() {
        let field = rows.schema_ref().field(i).as_ref().clone();
        fields.push(field.with_data_type(declared(i)));
        columns.push(in_type(array, &declared(i))?);
    }
    let schema = Schema::new_with_metadata(fields, rows.schema_ref().metadata().clone());
    let rows = rows_of(Arc::new(schema), columns, batch.len())?;
    Ok(batch.with_rows(rows))
}

/// Keys of several columns, their failing rows taken out.
pub(crate) struct KeySet {
    columns: Vec<KeyColumn>,
    keys: Keys,
}

/// Rows whose keys are known.
pub(crate) struct Keyed {
    /// The rows that did not fail.
    pub(crate) batch: Batch,
    /// Their key columns, unpacked.
    pub(crate) keys: Vec<ArrayRef>,
    /// The rows that failed.
    pub(crate) bad: BadRows,
}

impl KeySet {
    /// Keys that compare column by column, each ascending or descending.
    pub(crate) fn new(columns: Vec<KeyColumn>, descending: &[bool]) -> Result<Self> {
        let types: Vec<(DataType, bool)> = columns
            .iter()
            .zip(descending)
            .map(|(column, down)| (column.field.data_type().clone(), *down))
            .collect();
        Ok(Self {
            keys: Keys::new(&types)?,
            columns,
        })
    }

    /// Takes the rows out whose keys fail, and finds the keys of the others.
    pub(crate) fn split(&self, batch: Batch) -> Result<Keyed> {
        let mut keys = Vec::new();
        let mut failed = Vec::new();
        for column in &self.columns {
            let (values, failures) = column.evaluate(batch.rows())?;
            keys.push(in_type(&values, column.field.data_type())?);
            failed.extend(failures);
        }
        let (batch, bad, kept) = reject_once(&batch, failed)?;
        if let Some(kept) = kept {
            keys = arrow_select::take::take_arrays(&keys, &kept, None)?;
        }
        Ok(Keyed { batch, keys, bad })
    }

    /// Keys as bytes.
    pub(crate) fn encode(&self, keys: &[ArrayRef]) -> Result<arrow_array::BinaryArray> {
        self.keys.encode(keys)
    }

    /// The input columns that the keys read.
    pub(crate) fn reads(&self) -> Columns {
        Columns::named(self.columns.iter().flat_map(KeyColumn::columns))
    }
}

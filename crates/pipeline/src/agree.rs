//! Whether the columns of several inputs of one component agree, and where they do not.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};

/// The columns of several inputs that are read one after another, or which of them differs and how.
pub(crate) fn together(
    names: &[String],
    schemas: &[SchemaRef],
) -> Result<SchemaRef, (usize, String)> {
    let Some((first, rest)) = schemas.split_first() else {
        return Ok(Arc::new(Schema::empty()));
    };
    if rest.iter().all(|schema| schema == first) {
        return Ok(Arc::clone(first));
    }
    let mut fields: Vec<_> = first.fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut metadata = first.metadata().clone();
    for (at, schema) in rest.iter().enumerate() {
        if let Some(difference) = difference(&names[0], first, &names[at + 1], schema) {
            return Err((at + 1, difference));
        }
        for (field, other) in fields.iter_mut().zip(schema.fields()) {
            field.set_nullable(field.is_nullable() || other.is_nullable());
            let mut kept = field.metadata().clone();
            kept.retain(|key, value| other.metadata().get(key) == Some(value));
            field.set_metadata(kept);
        }
        metadata.retain(|key, value| schema.metadata().get(key) == Some(value));
    }
    Ok(Arc::new(Schema::new_with_metadata(fields, metadata)))
}

fn difference(a: &str, first: &Schema, b: &str, second: &Schema) -> Option<String> {
    for field in first.fields() {
        let name = field.name();
        match second.field_with_name(name) {
            Err(_) => return Some(format!("`{a}` has a column `{name}`, `{b}` has none")),
            Ok(other) if other.data_type() != field.data_type() => {
                return Some(format!(
                    "the column `{name}` is {} in `{a}` and {} in `{b}`",
                    field.data_type(),
                    other.data_type()
                ));
            }
            Ok(_) => {}
        }
    }
    if let Some(field) = second
        .fields()
        .iter()
        .find(|f| first.field_with_name(f.name()).is_err())
    {
        return Some(format!(
            "`{b}` has a column `{}`, `{a}` has none",
            field.name()
        ));
    }
    let pairs = first.fields().iter().zip(second.fields());
    for (at, (one, other)) in pairs.enumerate() {
        if one.name() != other.name() {
            return Some(format!(
                "column {} is `{}` in `{a}` and `{}` in `{b}`",
                at + 1,
                one.name(),
                other.name()
            ));
        }
    }
    (first.fields().len() != second.fields().len()).then(|| {
        format!(
            "`{a}` has {} columns, `{b}` has {}",
            first.fields().len(),
            second.fields().len()
        )
    })
}

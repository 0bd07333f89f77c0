//! One function over texts that gives a text or a number, row by row: what the JSON and pair functions share.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::DataType;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{
    ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

/// What a function gives for a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Given {
    Nothing,
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

/// A function that sees the texts of one row.
pub(crate) type OfTexts = fn(&[Option<&str>]) -> Result<Given, String>;

/// A function of texts, as a table of them lists it.
pub(crate) struct Listed {
    pub name: &'static str,
    pub signature: &'static str,
    pub summary: String,
    /// The fewest and most arguments.
    pub arguments: (usize, usize),
    pub output: DataType,
    pub run: OfTexts,
}

impl Listed {
    /// The function.
    pub fn function(self) -> Arc<ScalarUDF> {
        let section = DocSection {
            include: true,
            label: "Text",
            description: None,
        };
        let page = Documentation::builder(section, self.summary, self.signature).build();
        Arc::new(ScalarUDF::new_from_impl(TextFunction {
            name: self.name,
            arguments: self.arguments,
            output: self.output,
            run: self.run,
            page,
            signature: Signature::user_defined(Volatility::Immutable),
        }))
    }
}

struct TextFunction {
    name: &'static str,
    arguments: (usize, usize),
    output: DataType,
    run: OfTexts,
    page: Documentation,
    signature: Signature,
}

impl std::fmt::Debug for TextFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for TextFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for TextFunction {}

impl std::hash::Hash for TextFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for TextFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.output.clone())
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (fewest, most) = self.arguments;
        if !(fewest..=most).contains(&types.len()) {
            let written = &self.page.syntax_example;
            return datafusion_common::plan_err!("it is called as `{written}`");
        }
        let fits = |t: &DataType| crate::build::is_text(t) || t.is_integer() || t.is_null();
        match types.iter().find(|t| !fits(t)) {
            Some(other) => {
                let other = crate::build::word(other);
                datafusion_common::plan_err!("`{}` wants text, not {other}", self.name)
            }
            None => Ok(vec![DataType::Utf8; types.len()]),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let texts: Vec<Texts> = args.args.iter().map(Texts::of).collect::<Result<_>>()?;
        let mut output = Builder::new(&self.output);
        let mut row_texts = vec![None; texts.len()];
        for row in 0..args.number_rows {
            for (slot, texts) in row_texts.iter_mut().zip(&texts) {
                *slot = texts.get(row);
            }
            match (self.run)(&row_texts) {
                Ok(given) => output.push(given),
                Err(message) => return Err(datafusion_common::DataFusionError::Execution(message)),
            }
        }
        Ok(ColumnarValue::Array(output.finish()))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.page)
    }
}

enum Texts<'a> {
    Same(Option<&'a str>),
    Each(&'a StringArray),
}

impl<'a> Texts<'a> {
    fn of(value: &'a ColumnarValue) -> Result<Self> {
        match value {
            ColumnarValue::Scalar(ScalarValue::Utf8(text)) => Ok(Self::Same(text.as_deref())),
            ColumnarValue::Array(array) if array.data_type() == &DataType::Utf8 => {
                Ok(Self::Each(array.as_string()))
            }
            other => datafusion_common::internal_err!("not text but {}", other.data_type()),
        }
    }

    fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Same(text) => *text,
            Self::Each(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

enum Builder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
}

impl Builder {
    fn new(output: &DataType) -> Self {
        match output {
            DataType::Int64 => Self::Integer(Int64Builder::new()),
            DataType::Float64 => Self::Float(Float64Builder::new()),
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    fn push(&mut self, given: Given) {
        match (self, given) {
            (Self::Text(builder), Given::Text(text)) => builder.append_value(text),
            (Self::Integer(builder), Given::Integer(n)) => builder.append_value(n),
            (Self::Float(builder), Given::Float(x)) => builder.append_value(x),
            (Self::Boolean(builder), Given::Boolean(b)) => builder.append_value(b),
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Integer(builder), _) => builder.append_null(),
            (Self::Float(builder), _) => builder.append_null(),
            (Self::Boolean(builder), _) => builder.append_null(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Integer(mut builder) => Arc::new(builder.finish()),
            Self::Float(mut builder) => Arc::new(builder.finish()),
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
        }
    }
}

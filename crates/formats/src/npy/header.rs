//! The header of an NPY array: its shape, and where in an item which numbers are.

use std::io::Read;

use dataflow_core::{Error, Result};

use super::literal::{self, Literal};
use crate::samples::number::{Number, Order, Stored};

/// How an NPY file begins.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is read. Those of very many fields have some kilobytes.
const MOST_HEADER: u64 = 1 << 20;

/// The largest item: more is no sample.
const MOST_ITEM: usize = 1 << 20;

/// A number of an item.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Element {
    /// The name of its field; empty where an item is one number.
    pub field: String,
    /// Set for the two numbers of a complex one.
    pub part: &'static str,
    /// Where it is in the item.
    pub at: usize,
    pub stored: Stored,
}

/// What a header says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    pub shape: Vec<u64>,
    /// Whether the first axis runs fastest.
    pub fortran: bool,
    /// The bytes of an item.
    pub item: usize,
    pub elements: Vec<Element>,
    /// The bytes in front of the first item.
    pub length: u64,
}

/// Reads the header of an array.
///
/// # Errors
/// When it is none, is damaged, or the array holds something else than numbers. `at` is where the array begins in the file.
pub(crate) fn read(from: &mut dyn Read, path: &str, at: u64) -> Result<Header> {
    let (text, start, length) = text(from, path, at)?;
    let damaged = |byte: u64, why: &str| {
        Error::data(format!("the header of the array is damaged: {why}"))
            .file(path)
            .byte(at + byte)
            .help("copy the file again, or make it with `numpy.save`")
    };
    let literal = literal::parse(&text)
        .map_err(|at| damaged(start + at as u64, "it is not what NumPy writes"))?;
    let missing = |key: &str| damaged(start, &format!("there is no `{key}` as it should be"));
    let Literal::Table(entries) = &literal else {
        return Err(missing("descr"));
    };
    let entry = |key: &str| entries.iter().find(|(k, _)| k == key).map(|(_, v)| v);
    let Some(Literal::Truth(fortran)) = entry("fortran_order") else {
        return Err(missing("fortran_order"));
    };
    let shape = entry("shape").and_then(Literal::list);
    let shape = shape.and_then(|axes| axes.iter().map(Literal::whole).collect());
    let types = entry("descr").ok_or_else(|| missing("descr"))?;
    let (item, elements) = item(types)
        .map_err(|(what, help)| Error::data(what).file(path).byte(at + start).help(help))?;
    Ok(Header {
        shape: shape.ok_or_else(|| missing("shape"))?,
        fortran: *fortran,
        item,
        elements,
        length,
    })
}

/// The text of a header, and the bytes up to its beginning and up to its end.
fn text(from: &mut dyn Read, path: &str, at: u64) -> Result<(String, u64, u64)> {
    let cut = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Error::data("it ends in the middle of the header of an array")
                .file(path)
                .byte(at)
        }
        _ => Error::io("read", path, &e),
    };
    let mut head = [0; 8];
    from.read_exact(&mut head).map_err(cut)?;
    if !head.starts_with(MAGIC) {
        return Err(Error::data("this is no NPY array").file(path).byte(at));
    }
    let mut length = [0; 4];
    let wide = match head[6] {
        1 => 2,
        2 | 3 => 4,
        version => {
            let what = format!("the array is of version {version} of the format NPY");
            return Err(Error::data(what)
                .file(path)
                .byte(at + 6)
                .help("versions 1 to 3 are read"));
        }
    };
    from.read_exact(&mut length[..wide]).map_err(cut)?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > MOST_HEADER {
        let what = format!("the header of the array would have {length} bytes");
        return Err(Error::data(what)
            .file(path)
            .byte(at + 8)
            .help("the file is damaged: copy it again"));
    }
    let mut text = vec![0; length as usize];
    from.read_exact(&mut text).map_err(cut)?;
    // Version 1 is in Latin-1, whose letters only names of fields can have.
    let text = match String::from_utf8(text) {
        Ok(text) => text,
        Err(error) => error
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect(),
    };
    let before = head.len() as u64 + wide as u64;
    Ok((text, before, before + length))
}

/// What is wrong, and what to do.
type Wrong = (String, String);

/// The numbers of an item, and its bytes.
fn item(types: &Literal) -> std::result::Result<(usize, Vec<Element>), Wrong> {
    let mut elements = Vec::new();
    let mut size = 0;
    match types {
        Literal::Text(code) => size = element(code, "", 0, &mut elements)?,
        Literal::List(fields) => {
            for field in fields {
                let (name, code) = named(field)?;
                size += element(code, name, size, &mut elements)?;
                if size > MOST_ITEM {
                    break;
                }
            }
        }
        _ => return Err(unknown("another one")),
    }
    if elements.is_empty() || size > MOST_ITEM {
        return Err(unknown("another one"));
    }
    Ok((size, elements))
}

/// The name and the type of a field.
fn named(field: &Literal) -> std::result::Result<(&str, &str), Wrong> {
    match field.list() {
        // A field may have a title before its name.
        Some([Literal::Text(name), Literal::Text(code)]) => Ok((name, code)),
        Some([Literal::List(names), Literal::Text(code)]) => match names.as_slice() {
            [_, Literal::Text(name)] => Ok((name, code)),
            _ => Err(unknown("another one")),
        },
        Some([Literal::Text(name), ..]) => Err((
            format!("the field `{name}` of the array holds several values"),
            "save each of them as a field of its own".into(),
        )),
        _ => Err(unknown("another one")),
    }
}

fn unknown(code: &str) -> Wrong {
    (
        format!("the array does not hold numbers of a type that can be read, but `{code}`"),
        "save it with `array.astype(float)`".into(),
    )
}

/// Appends the numbers of a type at a place of the item; says how many bytes it has.
fn element(
    code: &str,
    field: &str,
    at: usize,
    into: &mut Vec<Element>,
) -> std::result::Result<usize, Wrong> {
    let mut letters = code.chars();
    let (order, kind) = (letters.next(), letters.next());
    let order = match order {
        Some('<' | '|' | '=') => Order::Little,
        Some('>') => Order::Big,
        _ => return Err(unknown(code)),
    };
    let size: Option<usize> = letters.as_str().parse().ok();
    let size = size.filter(|size| *size <= MOST_ITEM);
    if kind == Some('O') {
        return Err((
            "the array holds Python objects, which are never unpickled".into(),
            "save it with `array.astype(float)`".into(),
        ));
    }
    let (Some(kind), Some(size)) = (kind, size) else {
        return Err(unknown(code));
    };
    if kind == 'V' && field.is_empty() {
        // Bytes that only align what follows.
        return Ok(size);
    }
    let (number, parts): (_, &[&str]) = match (kind, size) {
        ('c', 8) => (Some(Number::Float32), &["re", "im"]),
        ('c', 16) => (Some(Number::Float64), &["re", "im"]),
        _ => (number(kind, size), &[""]),
    };
    let number = number.ok_or_else(|| unknown(code))?;
    for (index, part) in parts.iter().enumerate() {
        into.push(Element {
            field: field.to_string(),
            part,
            at: at + index * number.bytes(),
            stored: Stored {
                number,
                order,
                scaling: None,
            },
        });
    }
    Ok(size)
}

fn number(kind: char, size: usize) -> Option<Number> {
    Some(match (kind, size) {
        ('b', 1) => Number::Boolean,
        ('i', 1) => Number::Int8,
        ('i', 2) => Number::Int16,
        ('i', 4) => Number::Int32,
        ('i', 8) => Number::Int64,
        ('u', 1) => Number::UInt8,
        ('u', 2) => Number::UInt16,
        ('u', 4) => Number::UInt32,
        ('u', 8) => Number::UInt64,
        ('f', 2) => Number::Float16,
        ('f', 4) => Number::Float32,
        ('f', 8) => Number::Float64,
        _ => return None,
    })
}

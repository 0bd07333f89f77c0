//! NPY: an array of NumPy in a file, one or two axes of numbers, whose rows become rows.

pub(crate) mod header;
mod literal;

use std::io::BufReader;
use std::sync::Arc;

use dataflow_core::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::file_bytes::FileBytes;
use crate::samples::{self, Channel, Layout, MOST_COLUMNS, Region, Samples, promised};
use crate::{InputFile, Inspected, ReadFormat, Reading, Request};
use header::{Element, Header, MAGIC};

/// Arrays of NumPy (`numpy.save`). There is nothing to set.
///
/// An array of one axis is a column `value`, one of two axes has a column for each index of the second (`c0`, `c1`, ...), an array of
/// records has the columns that its fields name, and a complex number is two columns (`re`, `im`). Only what is in use is read,
/// and nothing is ever unpickled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Npy {}

/// Whether a file that starts with these bytes is an array.
pub fn recognise(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

impl Layout for Npy {
    fn layout(&self, file: &InputFile) -> Result<Samples> {
        let opened = file.open()?;
        let (bytes, stamp) = FileBytes::open(opened, &file.path)?;
        let header = header::read(&mut BufReader::new(bytes.from(0)), &file.path, 0)?;
        let array = Array::of(&header, "", &file.path)?;
        for region in &array.regions {
            let start = header.length + region.start;
            promised(&file.path, start, array.rows, region.frame, stamp.bytes)?;
        }
        Ok(Samples {
            stamp,
            rows: array.rows,
            regions: array.regions_at(header.length),
            channels: array.channels,
            sampling: None,
        })
    }
}

/// The rows of an array, and where they are behind its header.
pub(crate) struct Array {
    pub rows: u64,
    pub regions: Vec<Region>,
    pub channels: Vec<Channel>,
}

impl Array {
    /// The rows of the array of this name; of one that is alone it is empty.
    ///
    /// # Errors
    /// When it has more than two axes, or more columns than make sense.
    pub fn of(header: &Header, name: &str, path: &str) -> Result<Self> {
        let wrong = |what: String, help: &str| Err(Error::data(what).file(path).help(help));
        let (rows, columns) = match header.shape[..] {
            [] => (1, None),
            [rows] => (rows, None),
            [rows, columns] => (rows, Some(columns)),
            _ => {
                let axes = header.shape.len();
                let what = format!("{} has {axes} axes", titled(name));
                return wrong(
                    what,
                    "arrays of one or two are read: save it with `array.reshape(len(array), -1)`",
                );
            }
        };
        let across = columns.unwrap_or(1);
        let most = MOST_COLUMNS / header.elements.len() as u64;
        if across == 0 || across > most {
            let what = format!("{} would have {across} columns", titled(name));
            return wrong(
                what,
                "there can be 1 to 4096; if the samples run along the second axis, save `array.T`",
            );
        }
        let mut array = Self {
            rows,
            regions: Vec::new(),
            channels: Vec::new(),
        };
        for column in 0..across {
            let number = columns.map(|_| column);
            array.add(header, column, across, &|element| {
                label(name, number, element)
            });
        }
        match array.is_addressable() {
            true => Ok(array),
            false => wrong(
                format!("{} would be larger than any file", titled(name)),
                "the header is damaged: copy the file again",
            ),
        }
    }

    /// Adds a column of items: in the frames of all, or, where the first axis runs fastest, behind the column before.
    fn add(
        &mut self,
        header: &Header,
        column: u64,
        across: u64,
        name: &dyn Fn(&Element) -> String,
    ) {
        let (mut at, item) = (0, header.item);
        if header.fortran || column == 0 {
            let frame = if header.fortran { 1 } else { across as usize };
            self.regions.push(Region {
                start: column.saturating_mul(self.rows).saturating_mul(item as u64),
                frame: frame * item,
                packed: None,
            });
        }
        if !header.fortran {
            at = column as usize * item;
        }
        let region = self.regions.len() - 1;
        self.channels
            .extend(header.elements.iter().map(|element| Channel {
                name: name(element),
                region,
                at: at + element.at,
                stored: element.stored,
            }));
    }

    /// Whether its places are numbers that a file can have.
    fn is_addressable(&self) -> bool {
        self.regions.iter().all(|region| {
            let end = u128::from(region.start) + u128::from(self.rows) * region.frame as u128;
            end < 1 << 62
        })
    }

    /// The regions of an array whose items begin at a byte.
    pub fn regions_at(&self, start: u64) -> Vec<Region> {
        let moved = |region: &Region| Region {
            start: start + region.start,
            ..region.clone()
        };
        self.regions.iter().map(moved).collect()
    }
}

fn titled(name: &str) -> String {
    match name {
        "" => "the array".into(),
        name => format!("the array `{name}`"),
    }
}

/// The name of a column.
fn label(array: &str, column: Option<u64>, element: &Element) -> String {
    let column = match (column, array) {
        (None, _) => String::new(),
        (Some(column), "") => format!("c{column}"),
        (Some(column), _) => column.to_string(),
    };
    let parts = [array, &column, &element.field, element.part];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [] => "value".into(),
        parts => parts.join("_"),
    }
}

impl ReadFormat for Npy {
    fn inspect(&self, file: &InputFile) -> Result<Inspected> {
        Ok(self.layout(file)?.inspected())
    }

    fn reading(&self, request: &Request) -> Result<Arc<dyn Reading>> {
        Ok(samples::reading(self.clone(), request))
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! NPZ: arrays of NumPy in an archive, those of one length side by side as columns.

mod members;

use std::io::Read;
use std::sync::Arc;

use arrow_array::Array as _;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Error, Result, Sampling};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::npy::Array;
use crate::samples::number::{self, Strided};
use crate::samples::{self, Layout, MOST_COLUMNS, Packed, Samples, promised};
use crate::{InputFile, Inspected, ReadFormat, Reading, Request};
use members::{Member, Members};

/// Arrays of NumPy in one file (`numpy.savez`).
///
/// Each array of one axis becomes a column of its name, each of two axes several (`x_0`, `x_1`, ...), complex numbers and records as in
/// NPY. A number of its own called `sample_rate`, `sampling_rate`, `rate` or `fs` says how many samples per second there are. Arrays that
/// are stored are read by range; compressed ones (`numpy.savez_compressed`) are decompressed in their order by one thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Npz {
    /// The array to read, or several of the same length. Default: all of one axis that are as long as the longest of them; where there
    /// is none of one axis, the only one of two.
    pub array: Option<Arrays>,
}

/// One array or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "the name of an array, or a list of names")]
pub enum Arrays {
    /// The array of this name.
    One(String),
    /// Those of these names.
    Many(Vec<String>),
}

/// Names of numbers that say how many samples per second there are, the likeliest first.
const RATES: [&str; 4] = ["sample_rate", "sampling_rate", "rate", "fs"];

/// Whether a file that starts with these bytes is an archive.
pub fn recognise(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

impl Npz {
    /// The arrays to read.
    fn chosen<'a>(&self, members: &'a Members, path: &str) -> Result<Vec<&'a Member>> {
        let names = match &self.array {
            None => return by_length(members, path),
            Some(Arrays::One(name)) => std::slice::from_ref(name),
            Some(Arrays::Many(names)) => names,
        };
        let mut chosen = Vec::with_capacity(names.len());
        for name in names {
            let there = members.all.iter().map(|member| member.name.as_str());
            let member = members.named(name).ok_or_else(|| {
                let error = Error::data(format!("there is no array `{name}`")).file(path);
                match did_you_mean(name, there.clone()) {
                    Some(help) => error.help(help),
                    None => error.help(format!("there are: {}", some(there))),
                }
            })?;
            chosen.push(member);
        }
        match chosen.is_empty() {
            true => Err(Error::data("`array` names no array")
                .file(path)
                .help("leave it out to read all that are as long as the longest")),
            false => Ok(chosen),
        }
    }
}

/// Some names for a message.
fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 10;
    let names: Vec<&str> = names.take(MOST + 1).collect();
    match names.len() > MOST {
        true => format!("{}, ...", names[..MOST].join(", ")),
        false => names.join(", "),
    }
}

/// The arrays of one axis that are as long as the longest of them.
fn by_length<'a>(members: &'a Members, path: &str) -> Result<Vec<&'a Member>> {
    let axes = |count: usize| {
        let all = members.all.iter().filter(|member| !is_rate(member));
        all.filter_map(move |member| {
            let header = member.header.as_ref().ok()?;
            (header.shape.len() == count).then(|| (member, header.shape[0]))
        })
    };
    if let Some((_, longest)) = axes(1).max_by_key(|(_, length)| *length) {
        let those = axes(1).filter(|(_, length)| *length == longest);
        return Ok(those.map(|(member, _)| member).collect());
    }
    let two: Vec<&Member> = axes(2).map(|(member, _)| member).collect();
    if let [one] = two[..] {
        return Ok(vec![one]);
    }
    // Perhaps one says why it cannot be read.
    let unread = members.all.iter().find_map(|m| m.header.as_ref().err());
    if let Some(error) = unread {
        return Err(error.clone());
    }
    let names = some(members.all.iter().map(|m| m.name.as_str()));
    let (what, help) = match names.is_empty() {
        true => (
            "there is no array in it".to_string(),
            "an NPZ file is made by `numpy.savez`".to_string(),
        ),
        false => (
            "it is not clear which array to read: none has one axis".to_string(),
            format!(
                "say which: `format = {{ npz = {{ array = \"signal\" }} }}`; there are: {names}"
            ),
        ),
    };
    Err(Error::data(what).file(path).help(help))
}

/// Whether it is the number that says how many samples per second there are, and not one of them.
fn is_rate(member: &Member) -> bool {
    let header = member.header.as_ref();
    let is_one = header.is_ok_and(|header| matches!(header.shape[..], [] | [1]));
    is_one && RATES.contains(&member.name.as_str())
}

/// How many samples per second there are, if a number says so.
fn rate(members: &Members) -> Option<Sampling> {
    let numbers = RATES.iter().filter_map(|name| members.named(name));
    let mut rates = numbers.filter_map(|member| single(member, members));
    let rate = rates.find(|rate| rate.is_finite() && *rate > 0.0)?;
    Some(Sampling::of(rate))
}

/// The one number of an array, if it has one.
fn single(member: &Member, members: &Members) -> Option<f64> {
    let header = member.header.as_ref().ok()?;
    let [element] = &header.elements[..] else {
        return None;
    };
    if !matches!(header.shape[..], [] | [1]) {
        return None;
    }
    let mut stream = member.stream(&members.bytes);
    let mut passed = stream.by_ref().take(header.length);
    std::io::copy(&mut passed, &mut std::io::sink()).ok()?;
    let mut item = vec![0; header.item];
    stream.read_exact(&mut item).ok()?;
    let from = Strided {
        buffer: &Buffer::from(item),
        from: 0,
        step: header.item,
        count: 1,
    };
    let value = number::column(from, element.stored);
    let value = arrow_cast::cast(&value, &DataType::Float64).ok()?;
    (value.len() == 1).then(|| value.as_primitive::<Float64Type>().value(0))
}

impl Layout for Npz {
    fn layout(&self, file: &InputFile) -> Result<Samples> {
        let path = &*file.path;
        let members = Members::load(file)?;
        let chosen = self.chosen(&members, path)?;
        let mut samples = Samples {
            stamp: members.stamp.clone(),
            regions: Vec::new(),
            channels: Vec::new(),
            rows: 0,
            sampling: rate(&members),
        };
        let mut first: Option<(&str, u64)> = None;
        for member in chosen {
            let rows = add(&mut samples, member, path)?;
            let (name, expected) = *first.get_or_insert((&member.name, rows));
            if rows != expected {
                let what = format!(
                    "the arrays `{name}` ({expected}) and `{}` ({rows}) differ in length",
                    member.name
                );
                return Err(Error::data(what)
                    .file(path)
                    .help("read them in sources of their own"));
            }
            samples.rows = rows;
        }
        if samples.channels.len() as u64 > MOST_COLUMNS {
            let what = format!("the arrays would be {} columns", samples.channels.len());
            return Err(Error::data(what)
                .file(path)
                .help("there can be 4096: say which arrays to read with `array`"));
        }
        Ok(samples)
    }
}

/// Adds the columns of an array, and says how long it is.
fn add(samples: &mut Samples, member: &Member, path: &str) -> Result<u64> {
    let header = member.header.as_ref().map_err(Clone::clone)?;
    let array = Array::of(header, &member.name, path)?;
    let Packed {
        start, size, bytes, ..
    } = member.packed;
    let (start, end) = match member.compressed {
        true => (header.length, size),
        // What lies behind the member is not part of it, whatever its header says.
        false => (start + header.length, start + bytes.min(size)),
    };
    let before = samples.regions.len();
    for mut region in array.regions_at(start) {
        promised(path, region.start, array.rows, region.frame, end)?;
        region.packed = member.compressed.then(|| member.packed.clone());
        samples.regions.push(region);
    }
    if member.compressed && samples.regions.len() > before + 1 {
        let what = format!("the array `{}` is compressed column by column", member.name);
        return Err(Error::data(what).file(path).help("save it in C order (`numpy.ascontiguousarray`), or with `numpy.savez`, which does not compress"));
    }
    samples
        .channels
        .extend(array.channels.into_iter().map(|mut channel| {
            channel.region += before;
            channel
        }));
    Ok(array.rows)
}

impl ReadFormat for Npz {
    fn inspect(&self, file: &InputFile) -> Result<Inspected> {
        Ok(self.layout(file)?.inspected())
    }

    fn reading(&self, request: &Request) -> Result<Arc<dyn Reading>> {
        Ok(samples::reading(self.clone(), request))
    }
}

#[cfg(test)]
mod tests;

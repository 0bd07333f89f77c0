//! Raw samples: numbers one behind another, as loggers and oscilloscopes write them, without a word on what they are.

use std::sync::Arc;

use dataflow_core::error::Fault;
use dataflow_core::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::file_bytes::FileBytes;
pub use crate::samples::number::Order;
use crate::samples::number::{Number, Scaling, Stored};
use crate::samples::{self, Channel, Layout, MOST_COLUMNS, Region, Samples, whole_frames};
use crate::{InputFile, Inspected, ReadFormat, Reading, Request};

/// Numbers one behind another, of one type.
///
/// Nothing in such a file says what it holds, so `type` must be right. A file whose size is no whole number of frames (a number of
/// each channel) is an error. Rows are found by their number: only what is read of a file is touched.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// The type of the numbers. Columns have it too, unless there is a `scale` or an `offset`.
    #[serde(rename = "type")]
    pub number: RawType,
    /// Which byte of a number comes first: `"little"` or `"big"`. Default `"little"`.
    #[serde(default)]
    pub order: Order,
    /// The channels whose numbers take turns: their names, or how many there are (`c0`, `c1`, ...). Default: one, `value`.
    #[serde(default)]
    pub channels: Channels,
    /// Bytes to skip at the start, such as a header. Default 0.
    #[serde(default)]
    pub skip: u64,
    /// What a stored number is multiplied by; columns are float64 then. Default: they are as stored.
    #[serde(default)]
    pub scale: Option<f64>,
    /// What is added behind that; columns are float64 then. Default: they are as stored.
    #[serde(default)]
    pub offset: Option<f64>,
}

/// The type of raw numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawType {
    /// Whole numbers of one byte, with a sign.
    I8,
    /// Whole numbers of one byte, from 0 to 255.
    U8,
    /// Whole numbers of two bytes.
    I16,
    /// Whole numbers of four bytes.
    I32,
    /// Floats of four bytes.
    F32,
    /// Floats of eight bytes.
    F64,
}

impl RawType {
    fn number(self) -> Number {
        match self {
            Self::I8 => Number::Int8,
            Self::U8 => Number::UInt8,
            Self::I16 => Number::Int16,
            Self::I32 => Number::Int32,
            Self::F32 => Number::Float32,
            Self::F64 => Number::Float64,
        }
    }
}

/// The channels of a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "names of channels, or how many there are")]
pub enum Channels {
    /// So many.
    Count(u32),
    /// Of these names.
    Names(Vec<String>),
}

impl Default for Channels {
    fn default() -> Self {
        Self::Count(1)
    }
}

impl Channels {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Count(count) => channel_names(u64::from(*count)),
            Self::Names(names) => names.clone(),
        }
    }
}

/// The names of channels that have none.
pub(crate) fn channel_names(count: u64) -> Vec<String> {
    match count {
        1 => vec!["value".into()],
        count => (0..count).map(|at| format!("c{at}")).collect(),
    }
}

impl Raw {
    /// The extensions that say what a file holds.
    pub const EXTENSIONS: [&str; 5] = ["f32", "f64", "i16", "i32", "i8"];

    /// Numbers of a type, little end first, of one channel.
    pub fn of(number: RawType) -> Self {
        Self {
            number,
            order: Order::Little,
            channels: Channels::default(),
            skip: 0,
            scale: None,
            offset: None,
        }
    }

    /// What one of these extensions says.
    pub fn of_extension(extension: &str) -> Option<Self> {
        Some(Self::of(match extension {
            "f64" => RawType::F64,
            "f32" => RawType::F32,
            "i32" => RawType::I32,
            "i16" => RawType::I16,
            "i8" => RawType::I8,
            _ => return None,
        }))
    }

    fn stored(&self) -> Stored {
        let scaled = self.scale.is_some() || self.offset.is_some();
        Stored {
            number: self.number.number(),
            order: self.order,
            scaling: scaled.then(|| Scaling {
                scale: self.scale.unwrap_or(1.0),
                offset: self.offset.unwrap_or(0.0),
            }),
        }
    }

    /// Checks what the types of the options cannot tell.
    fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::new(Fault::Pipeline, what));
        let count = match &self.channels {
            Channels::Count(count) => u64::from(*count),
            Channels::Names(names) => names.len() as u64,
        };
        if count == 0 || count > MOST_COLUMNS {
            return wrong(format!(
                "raw: there are {count} `channels`, but there can be 1 to {MOST_COLUMNS}"
            ));
        }
        let names = self.channels.names();
        let twice = names.iter().enumerate();
        if let Some((_, name)) = twice.into_iter().find(|(at, n)| names[..*at].contains(n)) {
            return wrong(format!("raw: two channels are called `{name}`"));
        }
        let numbers = [("scale", self.scale), ("offset", self.offset)];
        match numbers
            .iter()
            .find(|(_, n)| n.is_some_and(|n| !n.is_finite()))
        {
            Some((name, _)) => wrong(format!("raw: `{name}` is no finite number")),
            None => Ok(()),
        }
    }
}

impl Layout for Raw {
    fn layout(&self, file: &InputFile) -> Result<Samples> {
        let (_, stamp) = FileBytes::open(file.open()?, &file.path)?;
        let stored = self.stored();
        let names = self.channels.names();
        let frame = names.len() * stored.number.bytes();
        let channels = names.into_iter().enumerate().map(|(at, name)| Channel {
            name,
            region: 0,
            at: at * stored.number.bytes(),
            stored,
        });
        Ok(Samples {
            rows: whole_frames(&file.path, self.skip, stamp.bytes, frame)?,
            stamp,
            channels: channels.collect(),
            regions: vec![Region {
                start: self.skip,
                frame,
                packed: None,
            }],
            sampling: None,
        })
    }
}

impl ReadFormat for Raw {
    fn inspect(&self, file: &InputFile) -> Result<Inspected> {
        self.check()?;
        Ok(self.layout(file)?.inspected())
    }

    fn reading(&self, request: &Request) -> Result<Arc<dyn Reading>> {
        self.check()?;
        Ok(samples::reading(self.clone(), request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::testing::{failure, lines, read, written};

    #[test]
    fn channels_take_turns() {
        let bytes: Vec<u8> = (0..6_i16).flat_map(|n| (n - 3).to_be_bytes()).collect();
        let file = written("x.raw", &[&[9; 5], &bytes[..]].concat());
        let mut raw = Raw {
            order: Order::Big,
            channels: Channels::Names(vec!["left".into(), "right".into()]),
            skip: 5,
            ..Raw::of(RawType::I16)
        };
        for rows in [1, 2, 100] {
            let read = read(&raw, &file, rows);
            assert_eq!(lines(&read), ["left right", "-3 -2", "-1 0", "1 2"]);
        }
        raw.scale = Some(0.5);
        raw.channels = Channels::Count(3);
        let read = read(&raw, &file, 100);
        assert_eq!(lines(&read), ["c0 c1 c2", "-1.5 -1.0 -0.5", "0.0 0.5 1.0"]);
    }

    #[test]
    fn many_pieces_of_one_type_after_another() {
        let values: Vec<f64> = (0..200_000).map(|n| f64::from(n).sqrt()).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let file = written("x.f64", &bytes);
        let raw = Raw::of_extension("f64").expect("a type");
        for rows in [8192, 1000] {
            let read = read(&raw, &file, rows);
            let column = read.column(0).to_data();
            assert_eq!(column.buffers()[0].typed_data::<f64>(), &values);
        }
    }

    #[test]
    fn what_is_left_over_is_told_with_its_byte() {
        let file = written("x.bin", &[0; 21]);
        let raw = Raw {
            skip: 4,
            ..Raw::of(RawType::I32)
        };
        let said = failure(&raw, &file);
        assert!(
            said.contains("the file goes on for 1 byte") && said.contains("byte 20"),
            "{said}"
        );
        let raw = Raw {
            skip: 50,
            ..Raw::of(RawType::I8)
        };
        assert!(failure(&raw, &file).contains("ends at byte 21"));
    }

    #[test]
    fn options_that_make_no_sense_are_told() {
        let with = |channels| Raw {
            channels,
            ..Raw::of(RawType::I8)
        };
        let named = |names: [&str; 2]| Channels::Names(names.map(String::from).to_vec());
        let file = written("x.i8", &[]);
        for (raw, expected) in [
            (with(Channels::Count(0)), "there are 0 `channels`"),
            (with(Channels::Count(u32::MAX)), "1 to 4096"),
            (with(named(["a", "a"])), "two channels are called `a`"),
            (
                Raw {
                    scale: Some(f64::NAN),
                    ..Raw::of(RawType::I8)
                },
                "`scale` is no finite number",
            ),
        ] {
            let said = failure(&raw, &file);
            assert!(said.contains(expected), "{said}");
        }
        assert_eq!(
            lines(&read(&with(Channels::Count(1)), &file, 10)),
            ["value"]
        );
    }
}

//! WAV: sound and other signals in chunks, beyond 4 GiB too (RF64, BW64).

mod head;

use std::sync::Arc;

use dataflow_core::{Result, Sampling};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::file_bytes::FileBytes;
use crate::raw::channel_names;
use crate::samples::number::{Number, Order, Scaling, Stored};
use crate::samples::{self, Channel, Layout, Region, Samples, whole_frames};
use crate::{InputFile, Inspected, ReadFormat, Reading, Request};
use head::{Codec, Head};

/// WAV files: whole numbers of 8 to 32 bits and floats of 32 or 64, RF64 and BW64 beyond 4 GiB.
///
/// The columns are `value` where there is one channel, `left` and `right` where there are two, else `c0`, `c1` and so on. The file says how
/// many samples per second there are. A file whose writer broke off before it wrote how much there is (a length of 0, or the
/// greatest one) is read up to the last whole frame.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Wav {
    /// Whether whole numbers are brought to the range from -1 to 1, as float64. Default true; else they are as stored. Floats are as
    /// stored in any case.
    pub scale: bool,
}

impl Default for Wav {
    fn default() -> Self {
        Self { scale: true }
    }
}

/// Whether a file that starts with these bytes is a WAV file.
pub fn recognise(head: &[u8]) -> bool {
    let kind = head.get(..4);
    let wave = head.get(8..12) == Some(b"WAVE");
    wave && matches!(kind, Some(b"RIFF" | b"RF64" | b"BW64"))
}

impl Wav {
    fn stored(&self, head: &Head) -> Stored {
        let number = match (head.codec, head.bytes) {
            (Codec::Float, 4) => Number::Float32,
            (Codec::Float, _) => Number::Float64,
            (Codec::Whole, 1) => Number::UInt8,
            (Codec::Whole, 2) => Number::Int16,
            (Codec::Whole, 3) => Number::Int24,
            (Codec::Whole, _) => Number::Int32,
        };
        let scaled = self.scale && head.codec == Codec::Whole;
        let full = (1_u64 << (8 * head.bytes - 1)) as f64;
        Stored {
            number,
            order: Order::Little,
            scaling: scaled.then(|| Scaling {
                scale: 1.0 / full,
                // Eight bits have no sign: silence is 128.
                offset: if head.bytes == 1 { -1.0 } else { 0.0 },
            }),
        }
    }
}

fn names(channels: u16) -> Vec<String> {
    match channels {
        2 => vec!["left".into(), "right".into()],
        count => channel_names(u64::from(count)),
    }
}

impl Layout for Wav {
    fn layout(&self, file: &InputFile) -> Result<Samples> {
        let (bytes, stamp) = FileBytes::open(file.open()?, &file.path)?;
        let head = head::read(&bytes, &file.path)?;
        let frame = usize::from(head.channels) * head.bytes;
        let end = match head.open {
            true => head.end - (head.end - head.start) % frame as u64,
            false => head.end,
        };
        let stored = self.stored(&head);
        let names = names(head.channels).into_iter().enumerate();
        Ok(Samples {
            stamp,
            rows: whole_frames(&file.path, head.start, end, frame)?,
            regions: vec![Region {
                start: head.start,
                frame,
                packed: None,
            }],
            channels: names
                .map(|(at, name)| Channel {
                    name,
                    region: 0,
                    at: at * head.bytes,
                    stored,
                })
                .collect(),
            sampling: (head.rate > 0).then(|| Sampling::of(f64::from(head.rate))),
        })
    }
}

impl ReadFormat for Wav {
    fn inspect(&self, file: &InputFile) -> Result<Inspected> {
        Ok(self.layout(file)?.inspected())
    }

    fn reading(&self, request: &Request) -> Result<Arc<dyn Reading>> {
        Ok(samples::reading(self.clone(), request))
    }
}

#[cfg(test)]
mod tests;

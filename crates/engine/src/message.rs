//! What travels between operators, and how it finds its worker.

use arrow_array::Array;
use dataflow_core::order::{owner, shard};
use dataflow_core::time::{Instant, Newest};
use dataflow_core::{Batch, Piece};
use timely::Accountable;
use timely::communication::Push;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};

/// One message. Timely counts its records, so that count must survive being routed: a batch counts its rows (it may be
/// split by row) and, if it is of a sorted run, one per worker (each is told how far the run is); so does the end of a
/// stream, which is copied to every worker.
#[derive(Clone, Default)]
pub enum Parcel {
    /// Nothing; never sent.
    #[default]
    Empty,
    /// Rows, and the worker that sent them.
    Rows {
        /// The sending worker.
        from: usize,
        /// The rows, at least one.
        batch: Batch,
        /// How many workers are still to be told how far the run is that these rows are of.
        marks: usize,
    },
    /// Rows of which every worker gets a copy. Nothing else reads the stream that they are on.
    Copied {
        /// The sending worker.
        from: usize,
        /// The rows, at least one.
        batch: Batch,
        /// How many workers are still to get them.
        copies: usize,
    },
    /// The sending worker's sorted run has no further rows below this key. Without it, owners of keys could wait for
    /// each other's next row, and the senders for them to take what they have.
    Reached {
        /// The sending worker.
        from: usize,
        /// The key.
        key: Vec<u8>,
    },
    /// The sending worker sends nothing more on this stream.
    End {
        /// The sending worker.
        from: usize,
        /// How many workers are still to be told.
        copies: usize,
    },
    /// The sending worker's rows are complete up to a time: what it sends later on this stream is not older, or late.
    Watermark {
        /// The sending worker.
        from: usize,
        /// The time.
        time: Instant,
        /// The component that is to write early results, if it is that which this is for.
        pulse: Option<usize>,
        /// How many workers are still to be told.
        copies: usize,
    },
    /// Desk to reader: read this.
    Token {
        /// The reading worker.
        to: usize,
        /// What to read.
        piece: Box<Piece>,
        /// The newest time of the split before the piece, if that is known already. Where times count, rows wait for it.
        newest: Option<Newest>,
    },
    /// Desk to reader: the newest time of its split before the piece that was admitted at this tick.
    Stamp {
        /// The reading worker.
        to: usize,
        /// The piece's tick.
        tick: u64,
        /// The newest time.
        newest: Newest,
    },
    /// Reader to desk: that was read and sent.
    Facts(Facts),
    /// Reader to desk: the times of a piece were seen, which may be long before its rows were sent.
    Judged {
        /// The tick at which the piece was admitted.
        tick: u64,
        /// The newest time of its split behind it.
        newest: Newest,
    },
}

/// What a reader tells the desk when it has read a piece.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The tick at which the piece was admitted.
    pub tick: u64,
    /// The worker that read it.
    pub worker: usize,
    /// The bytes of its rows.
    pub bytes: usize,
    /// How many rows of the split have been read with it, good or bad; none if it has no rows.
    pub rows: Option<u64>,
}

impl Parcel {
    /// Rows that worker `from`, of `workers`, sends.
    pub fn rows(from: usize, batch: Batch, workers: usize) -> Self {
        let marks = if batch.order().is_some() { workers } else { 0 };
        Self::Rows { from, batch, marks }
    }
}

impl Accountable for Parcel {
    fn record_count(&self) -> i64 {
        match self {
            Self::Empty => 0,
            Self::Rows { batch, marks, .. } => (batch.len() + marks) as i64,
            Self::Copied { batch, copies, .. } => (batch.len() * copies) as i64,
            Self::End { copies, .. } | Self::Watermark { copies, .. } => *copies as i64,
            Self::Token { .. } | Self::Stamp { .. } | Self::Judged { .. } => 1,
            Self::Facts(_) | Self::Reached { .. } => 1,
        }
    }
}

/// All workers of a run share one process: timely asks for this trait on every exchanged type, and calls it only between
/// processes. A process that could be told apart would need Arrow IPC here and an acknowledged charge at the sender.
impl ContainerBytes for Parcel {
    fn from_bytes(_: timely::bytes::arc::Bytes) -> Self {
        unreachable!("workers of one process exchange values, not bytes")
    }

    fn length_in_bytes(&self) -> usize {
        unreachable!("workers of one process exchange values, not bytes")
    }

    fn into_bytes<W: std::io::Write>(&self, _: &mut W) {
        unreachable!("workers of one process exchange values, not bytes")
    }
}

/// Where a stream's rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// To one worker.
    Worker(usize),
    /// Each row to the owner of its key.
    Owner,
    /// Each row to all workers.
    Everywhere,
    /// Tokens and facts say it themselves; facts go to worker 0.
    Written,
}

/// Sends parcels to their workers.
pub struct Post {
    address: Address,
}

impl Post {
    /// For a stream whose rows go to `address`.
    pub fn new(address: Address) -> Self {
        Self { address }
    }
}

impl Distributor<Parcel> for Post {
    fn partition<T: Clone, P: Push<Message<T, Parcel>>>(
        &mut self,
        parcel: &mut Parcel,
        time: &T,
        pushers: &mut [P],
    ) {
        let workers = pushers.len();
        let mut send = |to: usize, mut parcel: Parcel| {
            Message::push_at(&mut parcel, time.clone(), &mut pushers[to]);
        };
        match (std::mem::take(parcel), self.address) {
            (Parcel::Empty, _) => {}
            (Parcel::End { from, copies }, _) => {
                for to in 0..copies {
                    send(to, Parcel::End { from, copies: 1 });
                }
            }
            (
                Parcel::Watermark {
                    from,
                    time,
                    pulse,
                    copies,
                },
                _,
            ) => {
                for to in 0..copies {
                    let mark = Parcel::Watermark {
                        from,
                        time,
                        pulse,
                        copies: 1,
                    };
                    send(to, mark);
                }
            }
            (
                Parcel::Copied {
                    from,
                    batch,
                    copies,
                },
                _,
            ) => {
                for to in 0..copies {
                    let (batch, marks) = (batch.clone(), 0);
                    send(to, Parcel::Rows { from, batch, marks });
                }
            }
            (token @ Parcel::Token { to, .. }, _) => send(to, token),
            (stamp @ Parcel::Stamp { to, .. }, _) => send(to, stamp),
            (Parcel::Facts(facts), _) => send(0, Parcel::Facts(facts)),
            (judged @ Parcel::Judged { .. }, _) => send(0, judged),
            (Parcel::Reached { .. }, _) => unreachable!("what is routed already is not sent again"),
            (rows @ Parcel::Rows { .. }, Address::Worker(to)) => send(to, rows),
            (Parcel::Rows { from, batch, .. }, _) => {
                for (to, batch) in by_owner(&batch, workers) {
                    let marks = 0;
                    send(to, Parcel::Rows { from, batch, marks });
                }
                if let Some(key) = last_key(&batch) {
                    for to in 0..workers {
                        let key = key.to_vec();
                        send(to, Parcel::Reached { from, key });
                    }
                }
            }
        }
    }

    fn flush<T: Clone, P: Push<Message<T, Parcel>>>(&mut self, _: &T, _: &mut [P]) {}
}

/// The last key of a batch of a sorted run.
fn last_key(batch: &Batch) -> Option<&[u8]> {
    let order = batch.order()?;
    order.len().checked_sub(1).map(|last| order.value(last))
}

/// Cuts a batch into one per owner of its rows' keys. A batch without hashes is worker 0's.
fn by_owner(batch: &Batch, workers: usize) -> Vec<(usize, Batch)> {
    let Some(hashes) = batch.hash() else {
        return vec![(0, batch.clone())];
    };
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); workers];
    for (row, hash) in hashes.iter().enumerate() {
        rows[owner(shard(*hash), workers)].push(row as u32);
    }
    if let Some(all) = rows.iter().position(|rows| rows.len() == batch.len()) {
        return vec![(all, batch.clone())];
    }
    // The hashes have done their work.
    let batch = batch.clone().with_hash(None);
    let parts = rows
        .into_iter()
        .enumerate()
        .filter(|(_, rows)| !rows.is_empty());
    parts
        .map(|(to, rows)| {
            let part = batch.take(&rows.into());
            (
                to,
                part.unwrap_or_else(|error| panic!("rows of a batch are within it: {error}")),
            )
        })
        .collect()
}

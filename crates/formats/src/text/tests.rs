//! Batches as small tables, for the tests of all text formats.

use arrow_array::Array;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use dataflow_core::stage::BadRow;
use dataflow_core::{Batch, Decoded};

/// What was read.
#[derive(Debug)]
pub(crate) struct Table {
    batches: Vec<Batch>,
    pub(crate) bad: Vec<Bad>,
}

/// A bad row.
#[derive(Debug, PartialEq)]
pub(crate) struct Bad {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) data: String,
    place: Option<dataflow_core::Place>,
}

impl Bad {
    /// Its row.
    pub(crate) fn row(&self) -> u64 {
        self.place.map_or(u64::MAX, |place| place.row())
    }
}

/// What was read, put together; checks that places ascend.
pub(crate) fn table(decoded: &[Decoded]) -> Table {
    let mut before = None;
    for part in decoded {
        let bad = part.bad.iter().filter_map(|bad| bad.place.map(|p| p.0));
        let good = part.batches.iter().flat_map(|(_, batch)| {
            let places = batch.places().numbers(batch.len()).expect("places are set");
            places.values().to_vec()
        });
        let mut all: Vec<u64> = bad.chain(good).collect();
        all.sort_unstable();
        assert!(
            all.windows(2).all(|pair| pair[0] < pair[1]),
            "places are unique"
        );
        assert!(before.is_none_or(|before| all.first().is_none_or(|first| before < *first)));
        before = all.last().copied().or(before);
    }
    let bad = |bad: &BadRow| Bad {
        reason: bad.reason,
        message: bad.message.clone(),
        data: bad.data.clone(),
        place: bad.place,
    };
    Table {
        batches: decoded
            .iter()
            .flat_map(|part| part.batches.iter().map(|(_, batch)| batch.clone()))
            .collect(),
        bad: decoded
            .iter()
            .flat_map(|part| part.bad.iter().map(bad))
            .collect(),
    }
}

impl Table {
    /// Rows as `1|x|null`.
    pub(crate) fn rows(&self) -> Vec<String> {
        let options = FormatOptions::new().with_null("null");
        let mut rows = Vec::new();
        for batch in &self.batches {
            let columns = batch.rows().columns().iter();
            let formats: Vec<_> = columns
                .map(|column| {
                    ArrayFormatter::try_new(column as &dyn Array, &options).expect("shows")
                })
                .collect();
            for row in 0..batch.len() {
                let cells: Vec<String> = formats.iter().map(|f| f.value(row).to_string()).collect();
                rows.push(cells.join("|"));
            }
        }
        rows
    }

    /// The rows' numbers in their file.
    pub(crate) fn places(&self) -> Vec<u64> {
        let place = |batch: &Batch, row| batch.places().get(row).map_or(u64::MAX, |p| p.row());
        self.batches
            .iter()
            .flat_map(|batch| (0..batch.len()).map(|row| place(batch, row)))
            .collect()
    }
}

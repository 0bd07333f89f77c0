//! One value of any type per group.

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use dataflow_core::Result;

use super::keys::{self, Floats, Scale};
use super::wide::Wide;

/// A value per group: 8 bytes where the type has order keys, else bytes of its own.
#[derive(Clone)]
pub(crate) struct Values {
    data_type: DataType,
    keys: Vec<u64>,
    wide: Option<Wide>,
    cells: Vec<Option<Box<[u8]>>>,
    cell_bytes: usize,
}

impl Values {
    /// For no groups.
    pub(crate) fn new(data_type: &DataType) -> Result<Self> {
        let wide = match Scale::of(data_type) {
            Some(_) => None,
            None => Some(Wide::new(data_type)?),
        };
        Ok(Self {
            data_type: data_type.clone(),
            keys: Vec::new(),
            wide,
            cells: Vec::new(),
            cell_bytes: 0,
        })
    }

    /// Makes room for groups.
    pub(crate) fn resize(&mut self, groups: usize) {
        match self.wide {
            None => self.keys.resize(groups, 0),
            Some(_) => self.cells.resize(groups, None),
        }
    }

    /// The `i`-th of `values`, none of which is null, becomes the value of the `i`-th group.
    pub(crate) fn set(&mut self, groups: &[u32], values: &ArrayRef) -> Result<()> {
        let Some(wide) = &self.wide else {
            return keys::visit(values.as_ref(), None, Floats::Verbatim, |start, keys| {
                for (group, key) in groups[start..].iter().zip(keys) {
                    self.keys[*group as usize] = *key;
                }
            });
        };
        let cells = wide.cells(values)?;
        for (row, group) in groups.iter().enumerate() {
            put(
                &mut self.cells[*group as usize],
                cells.get(row),
                &mut self.cell_bytes,
            );
        }
        Ok(())
    }

    /// The values of these groups; null where there is none.
    pub(crate) fn array(&self, groups: &[u32], has: impl Fn(usize) -> bool) -> Result<ArrayRef> {
        let groups = groups.iter().map(|group| *group as usize);
        match &self.wide {
            None => keys::array(
                &self.data_type,
                groups.map(|group| has(group).then(|| self.keys[group])),
            ),
            Some(wide) => wide.array(groups.map(|group| self.cells[group].as_deref())),
        }
    }

    /// The bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.capacity() * size_of::<u64>()
            + self.cells.capacity() * size_of::<Option<Box<[u8]>>>()
            + self.cell_bytes
    }

    /// Forgets all groups.
    pub(crate) fn clear(&mut self) {
        self.keys = Vec::new();
        self.cells = Vec::new();
        self.cell_bytes = 0;
    }
}

/// Puts bytes into a cell and corrects the bytes allocated.
pub(crate) fn put(cell: &mut Option<Box<[u8]>>, value: &[u8], bytes: &mut usize) {
    match cell {
        Some(held) if held.len() == value.len() => held.copy_from_slice(value),
        _ => {
            *bytes = *bytes + value.len() - cell.as_ref().map_or(0, |held| held.len());
            *cell = Some(value.into());
        }
    }
}

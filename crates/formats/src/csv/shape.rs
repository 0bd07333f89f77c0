//! The shape of a file, as every piece of it carries it to its reader.

/// What a reader must know of a file beside the text of a piece. It stands in front of that text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shape {
    pub(super) delimiter: u8,
    /// Fields of a row.
    pub(super) fields: u32,
    /// Which field each wanted column is.
    pub(super) columns: Vec<Option<u32>>,
}

impl Shape {
    pub(super) fn write(&self) -> Vec<u8> {
        let length = 9 + 4 * self.columns.len() as u32;
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.push(self.delimiter);
        bytes.extend(self.fields.to_le_bytes());
        for column in &self.columns {
            bytes.extend(column.unwrap_or(u32::MAX).to_le_bytes());
        }
        bytes
    }

    /// The shape and how many bytes it took.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let number = |at: usize| {
            let bytes = bytes.get(at..at + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let length = number(0)? as usize;
        let column = |at| number(at).map(|column| (column != u32::MAX).then_some(column));
        let shape = Self {
            delimiter: *bytes.get(4)?,
            fields: number(5)?,
            columns: (9..length).step_by(4).map(column).collect::<Option<_>>()?,
        };
        Some((shape, length))
    }
}

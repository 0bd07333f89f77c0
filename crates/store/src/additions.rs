//! What a commit adds: a segment with the parts that changed, and the files that were adopted.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use dataflow_core::Result;

use crate::changes::{Change, Changes};
use crate::content::PartKey;
use crate::disk::{Disk, failed};
use crate::manifest::{Adopted, Kind, Manifest, Part, Section};
use crate::names;
use crate::rows::RowsWriter;
use crate::section::Segment;
use crate::snapshot::summed;
use crate::sort::write_run;

/// What a commit writes.
pub(crate) struct Additions {
    disk: Arc<dyn Disk>,
    number: u64,
    segment: Option<Segment>,
}

impl Additions {
    /// Nothing yet; the segment that is written if one is needed has this number.
    pub(crate) fn new(disk: Arc<dyn Disk>, number: u64) -> Self {
        Self {
            disk,
            number,
            segment: None,
        }
    }

    /// The bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.segment.as_ref().map_or(0, Segment::bytes)
    }

    /// Removes what was written.
    pub(crate) fn remove(&self) {
        // Whatever stays is removed by the next sweep.
        let _ = self.disk.remove(&names::segment(self.number));
    }

    /// Writes all changes and notes in the manifest where they are.
    pub(crate) fn apply(&mut self, changes: &Changes, next: &mut Manifest) -> Result<()> {
        for (key, change) in &changes.parts {
            self.change(key, change, &mut next.parts)?;
        }
        if let Some(segment) = &mut self.segment {
            segment.sync(self.disk.as_ref())?;
        }
        let goes = |name: &String, file: &mut Adopted| {
            changes.dropped.contains(name) || changes.dropped_of.contains(&file.key)
        };
        next.files.retain(|name, file| !goes(name, file));
        for (name, key) in &changes.adopted {
            next.files
                .insert(name.clone(), adopt(self.disk.as_ref(), name, key)?);
        }
        Ok(())
    }

    fn change(
        &mut self,
        key: &PartKey,
        change: &Change,
        parts: &mut BTreeMap<PartKey, Part>,
    ) -> Result<()> {
        let part = |kind, section| Part {
            kind,
            sections: vec![section],
        };
        match change {
            Change::Drop => drop(parts.remove(key)),
            Change::Bytes(bytes) => {
                let section = self.bytes_section(bytes)?;
                parts.insert(key.clone(), part(Kind::Bytes, section));
            }
            Change::Batches(batches) => {
                let section = self.batches_section(batches)?;
                parts.insert(key.clone(), part(Kind::Batches, section));
            }
            Change::Rows { fresh, batches } => self.rows(key, *fresh, batches, parts)?,
        }
        Ok(())
    }

    /// A run on top of those that are there.
    fn rows(
        &mut self,
        key: &PartKey,
        fresh: bool,
        batches: &[RecordBatch],
        parts: &mut BTreeMap<PartKey, Part>,
    ) -> Result<()> {
        if fresh {
            parts.remove(key);
        }
        let Some(first) = batches.first() else {
            return Ok(());
        };
        // Without rows it tells at most which columns the part has.
        if parts.contains_key(key) && batches.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(());
        }
        let run = self.write(|segment| write_run(segment, &first.schema(), batches))?;
        let part = parts.entry(key.clone()).or_insert_with(|| Part {
            kind: Kind::Rows,
            sections: Vec::new(),
        });
        part.sections.push(run);
        Ok(())
    }

    fn bytes_section(&mut self, bytes: &[u8]) -> Result<Section> {
        self.write(|segment| {
            let mut out = segment.section();
            std::io::Write::write_all(&mut out, bytes)?;
            out.finish(0)
        })
    }

    fn batches_section(&mut self, batches: &[RecordBatch]) -> Result<Section> {
        let empty = || Arc::new(Schema::empty());
        let schema = batches.first().map_or_else(empty, |batch| batch.schema());
        self.write(|segment| {
            let mut out = RowsWriter::begin(segment, &schema)?;
            batches.iter().try_for_each(|batch| out.write(batch))?;
            out.finish()
        })
    }

    /// Writes a section into the segment, which is made when it is first needed.
    fn write(
        &mut self,
        section: impl FnOnce(&mut Segment) -> std::io::Result<Section>,
    ) -> Result<Section> {
        let segment = match &mut self.segment {
            Some(segment) => segment,
            none => none.insert(Segment::create(self.disk.as_ref(), self.number)?),
        };
        let path = segment.path().to_string();
        section(segment).map_err(|e| failed(self.disk.as_ref(), "write a snapshot", &path, &e))
    }
}

/// Makes a file durable that somebody else has written, and notes what it is like.
fn adopt(disk: &dyn Disk, name: &str, key: &PartKey) -> Result<Adopted> {
    let path = names::file(name);
    let synced = disk.sync(&path);
    synced.map_err(|e| failed(disk, "make a file part of a snapshot", &path, &e))?;
    let (length, checksum) = summed(disk, name)?;
    Ok(Adopted {
        key: key.clone(),
        length,
        checksum,
    })
}

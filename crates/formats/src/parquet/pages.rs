//! The pages of a row group's columns, with dictionaries read only once a page needs them.
//!
//! A reader that starts in the middle of a row group would otherwise decode every column's dictionary, also of columns
//! whose dictionary filled up long before: their later pages do not use it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::parquet::arrow::arrow_reader::RowGroups;
use ::parquet::basic::Encoding;
use ::parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use ::parquet::file::reader::SerializedPageReader;

use crate::file_bytes::FileBytes;

/// One row group of a file.
pub(super) struct GroupPages {
    pub bytes: Arc<FileBytes>,
    pub metadata: Arc<ParquetMetaData>,
    pub group: usize,
    pub dictionaries: Dictionaries,
}

/// The dictionary pages of a row group, decompressed, for a reader that comes back to it again and again.
#[derive(Clone, Default)]
pub(super) struct Dictionaries {
    group: Option<usize>,
    pages: Arc<Mutex<BTreeMap<usize, Page>>>,
}

/// The bytes of dictionaries that a reader keeps.
const MOST_KEPT: usize = 8 << 20;

impl Dictionaries {
    /// Those of a group, forgetting those of another one.
    pub fn of_group(&mut self, group: usize) -> Self {
        if self.group != Some(group) {
            *self = Self {
                group: Some(group),
                pages: Arc::default(),
            };
        }
        self.clone()
    }

    fn get(&self, column: usize, read: impl FnOnce() -> Result<Option<Page>>) -> Result<Page> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = pages.get(&column) {
            return Ok(known.clone());
        }
        let page = read()?.ok_or_else(|| ParquetError::EOF("a dictionary is missing".into()))?;
        let held: usize = pages.values().map(|page| page.buffer().len()).sum();
        if held + page.buffer().len() <= MOST_KEPT {
            pages.insert(column, page.clone());
        }
        Ok(page)
    }
}

impl GroupPages {
    fn pages(&self, column: usize) -> Result<SerializedPageReader<FileBytes>> {
        let group = self.metadata.row_group(self.group);
        let places = self
            .metadata
            .offset_index()
            .and_then(|groups| groups.get(self.group))
            .and_then(|columns| columns.get(column))
            .map(|index| index.page_locations().clone());
        SerializedPageReader::new(
            Arc::clone(&self.bytes),
            group.column(column),
            group.num_rows() as usize,
            places,
        )
    }
}

impl RowGroups for GroupPages {
    fn num_rows(&self) -> usize {
        self.metadata.row_group(self.group).num_rows() as usize
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let mut pages = self.pages(column)?;
        let coded = pages.peek_next_page()?.is_some_and(|page| page.is_dict);
        if coded {
            pages.skip_next_page()?;
        }
        let dictionary = coded.then(|| self.pages(column)).transpose()?;
        let pages: Box<dyn PageReader> = Box::new(Pages {
            pages,
            column,
            dictionary,
            known: self.dictionaries.clone(),
            held: None,
        });
        Ok(Box::new(Once(Some(Ok(pages)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata.row_group(self.group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The one column chunk of a column in a row group.
struct Once(Option<Result<Box<dyn PageReader>>>);

impl Iterator for Once {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take()
    }
}

impl PageIterator for Once {}

struct Pages {
    /// The pages of values.
    pages: SerializedPageReader<FileBytes>,
    column: usize,
    /// Another reader of the chunk, standing at its dictionary, until that was given.
    dictionary: Option<SerializedPageReader<FileBytes>>,
    known: Dictionaries,
    /// The page that needs the dictionary which was given in its stead, and what was known of it before.
    held: Option<(Page, PageMetadata)>,
}

fn is_coded(page: &Page) -> bool {
    matches!(
        page.encoding(),
        Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY
    )
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        if let Some((held, _)) = self.held.take() {
            return Ok(Some(held));
        }
        if self.dictionary.is_none() {
            return self.pages.get_next_page();
        }
        let Some(known) = self.pages.peek_next_page()? else {
            return Ok(None);
        };
        let Some(page) = self.pages.get_next_page()? else {
            return Ok(None);
        };
        if !is_coded(&page) {
            return Ok(Some(page));
        }
        self.held = Some((page, known));
        let mut pages = self.dictionary.take();
        let read = || pages.as_mut().map_or(Ok(None), PageReader::get_next_page);
        self.known.get(self.column, read).map(Some)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        match &self.held {
            Some((_, known)) => Ok(Some(PageMetadata {
                num_rows: known.num_rows,
                num_levels: known.num_levels,
                is_dict: known.is_dict,
            })),
            None => self.pages.peek_next_page(),
        }
    }

    fn skip_next_page(&mut self) -> Result<()> {
        match self.held.take() {
            Some(_) => Ok(()),
            None => self.pages.skip_next_page(),
        }
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        match &self.held {
            Some((_, known)) => Ok(known.num_rows.is_some()),
            None => self.pages.at_record_boundary(),
        }
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

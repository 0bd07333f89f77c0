//! Which rows a predicate excludes by the statistics of row groups and pages, and nothing but those.
//!
//! Skipping must never drop a row that could match, so whatever is not certain keeps the rows: bounds that are missing, of
//! an order that is not ours, or of a type that is not the constant's; and `x > c` for floats, because NaN is above all
//! numbers and statistics leave NaN out.

use std::ops::Range;

use ::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use ::parquet::basic::{ColumnOrder, Type as Physical};
use ::parquet::file::page_index::column_index::ColumnIndexMetaData;
use arrow_array::Array;
use arrow_schema::DataType;
use dataflow_core::source::{Comparison, Operator};

use super::bounds::{Bounds, Test};
use super::footer::Footer;
use crate::Request;

/// The rows to read, per row group, counted through the file.
pub(super) fn kept_rows(footer: &Footer, request: &Request) -> Vec<Vec<Range<u64>>> {
    let mut first = 0;
    let mut kept: Vec<Vec<Range<u64>>> = Vec::new();
    for group in footer.metadata().row_groups() {
        let rows = first..first + group.num_rows() as u64;
        first = rows.end;
        kept.push(if rows.is_empty() { vec![] } else { vec![rows] });
    }
    for comparison in &request.wanted.predicate {
        let Ok(field) = request.columns.field_with_name(&comparison.column) else {
            continue; // not a column of this file's: a partition of the path, a computed one
        };
        match Column::find(footer, comparison, field.data_type()) {
            Found::Absent if comparison.operator != Operator::IsNull => {
                kept.iter_mut().for_each(Vec::clear);
            }
            Found::Absent | Found::Opaque => {}
            Found::Column(column) => column.exclude(&mut kept),
        }
    }
    kept
}

/// A comparison with a column of a file whose statistics can be read.
struct Column<'a> {
    footer: &'a Footer,
    leaf: usize,
    statistics: StatisticsConverter<'a>,
    test: Test,
}

enum Found<'a> {
    /// The file does not have it: all values are null.
    Absent,
    /// Nothing can be said.
    Opaque,
    Column(Column<'a>),
}

impl<'a> Column<'a> {
    fn find(footer: &'a Footer, comparison: &Comparison, asked: &DataType) -> Found<'a> {
        let schema = footer.arrow.schema();
        let mut named = schema
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| field.name() == &comparison.column);
        let Some((index, field)) = named.next() else {
            return Found::Absent;
        };
        let Some(leaf) = footer.leaf(index) else {
            return Found::Opaque;
        };
        let Some(test) = Test::new(comparison, field.data_type(), asked) else {
            return Found::Opaque;
        };
        let parquet = footer.arrow.parquet_schema();
        if parquet.column(leaf).physical_type() == Physical::INT96 {
            return Found::Opaque; // its order was never defined
        }
        match StatisticsConverter::from_column_index(leaf, field.as_ref(), parquet) {
            Ok(statistics) => Found::Column(Column {
                footer,
                leaf,
                statistics: statistics.with_missing_null_counts_as_zero(false),
                test,
            }),
            Err(_) => Found::Opaque,
        }
    }

    fn exclude(&self, kept: &mut [Vec<Range<u64>>]) {
        let groups = self.footer.metadata().row_groups();
        let (mins, maxes, nulls) = (
            self.statistics.row_group_mins(groups),
            self.statistics.row_group_maxes(groups),
            self.statistics.row_group_null_counts(groups),
        );
        let (Ok(mins), Ok(maxes), Ok(nulls)) = (mins, maxes, nulls) else {
            return;
        };
        let bounds = Bounds::new(&mins, &maxes, nulls);
        for (i, group) in groups.iter().enumerate() {
            let trusted = self.trusted(i);
            if kept[i].is_empty() {
                continue;
            }
            if self.excluded(&bounds, i, group.num_rows() as u64, trusted) {
                kept[i].clear();
            } else {
                self.exclude_pages(i, &mut kept[i]);
            }
        }
    }

    fn excluded(&self, bounds: &Bounds, at: usize, rows: u64, trusted: bool) -> bool {
        if bounds.rows() <= at {
            return false;
        }
        let (low, high) = if trusted { bounds.at(at) } else { (None, None) };
        self.test.excludes(low, high, bounds.nulls(at), rows)
    }

    /// Whether smallest and largest are meant in our order. Numbers with a sign and booleans always were.
    fn trusted(&self, group: usize) -> bool {
        if self.test.always_ordered {
            return true;
        }
        let metadata = self.footer.metadata();
        let order = metadata.file_metadata().column_order(self.leaf);
        let statistics = metadata.row_group(group).column(self.leaf).statistics();
        matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_))
            && !statistics.is_some_and(|s| s.is_min_max_deprecated())
    }

    fn exclude_pages(&self, group: usize, kept: &mut Vec<Range<u64>>) {
        let metadata = self.footer.metadata();
        let (Some(index), Some(places)) = (metadata.column_index(), metadata.offset_index()) else {
            return;
        };
        let has_index = index
            .get(group)
            .and_then(|columns| columns.get(self.leaf))
            .is_some_and(|column| !matches!(column, ColumnIndexMetaData::NONE));
        let pages = places
            .get(group)
            .and_then(|columns| columns.get(self.leaf))
            .map(|column| column.page_locations());
        let (true, Some(pages)) = (has_index, pages) else {
            return;
        };
        let only = [group];
        let (mins, maxes, nulls) = (
            self.statistics.data_page_mins(index, places, &only),
            self.statistics.data_page_maxes(index, places, &only),
            self.statistics.data_page_null_counts(index, places, &only),
        );
        let (Ok(mins), Ok(maxes), Ok(nulls)) = (mins, maxes, nulls) else {
            return;
        };
        if mins.len() != pages.len() || maxes.len() != pages.len() || nulls.len() != pages.len() {
            return;
        }
        let bounds = Bounds::new(&mins, &maxes, nulls);
        let Some(base) = kept.first().map(|_| self.first_row(group)) else {
            return;
        };
        let rows = metadata.row_group(group).num_rows() as u64;
        let trusted = self.trusted(group);
        for (i, page) in pages.iter().enumerate() {
            let start = page.first_row_index.max(0) as u64;
            let end = pages
                .get(i + 1)
                .map_or(rows, |next| next.first_row_index.max(0) as u64);
            if end > start && self.excluded(&bounds, i, end - start, trusted) {
                subtract(kept, &(base + start..base + end));
            }
        }
    }

    fn first_row(&self, group: usize) -> u64 {
        let groups = &self.footer.metadata().row_groups()[..group];
        groups.iter().map(|group| group.num_rows() as u64).sum()
    }
}

fn subtract(kept: &mut Vec<Range<u64>>, gone: &Range<u64>) {
    let pieces = kept.iter().flat_map(|range| {
        let before = range.start..range.end.min(gone.start);
        let behind = range.start.max(gone.end)..range.end;
        [before, behind]
    });
    *kept = pieces.filter(|range| !range.is_empty()).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_subtracted() {
        let mut kept = vec![0..10, 20..30];
        subtract(&mut kept, &(5..22));
        assert_eq!(kept, [0..5, 22..30]);
        subtract(&mut kept, &(24..25));
        assert_eq!(kept, [0..5, 22..24, 25..30]);
    }
}

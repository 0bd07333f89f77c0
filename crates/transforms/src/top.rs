//! `top`: the n largest rows by an expression, over all rows or for each key.

use std::sync::Arc;

use arrow_array::{Array, BinaryArray, BooleanArray};
use arrow_schema::SchemaRef;
use dataflow_core::component::TransformConfig;
use dataflow_core::order::key_hash;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::transform::{Columns, Emits, Input, Port, Route};
use dataflow_core::{
    Batch, Check, Configured, Flow, Info, Located, Output, Places, Result, Stage, StageContext,
    StagePlan, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{KeyColumn, KeySet, conform};
use crate::config::{Texts, only_input};
use crate::sort::{OrderKeys, directed, ordered_keys, unwrapped};
use dataflow_core::sorter::{HeldRows, Sorted, Sorter};

/// The largest rows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Top {
    /// How many rows, for each key where `key` is given.
    n: Located<u64>,
    /// What counts: a column or an expression, or several, of which a later one decides where the earlier are equal.
    /// Largest first; smallest first with ` asc` behind.
    by: Texts,
    /// Columns or expressions: the `n` largest rows for each of their values. Default: of all rows.
    #[serde(default)]
    key: Texts,
}

impl Configured for Top {
    const INFO: Info = Info {
        name: "top",
        summary: "Keeps the n largest rows, of all or for each key",
        manual: "Rows leave whole, by rank: the largest first; with `key`, by key and then by rank. NaN is above all \
            numbers, nulls are last; rows that are equal in all of `by` are ranked as they came. A row for which an \
            expression fails is a bad row.\n\n\
            Each worker keeps its own candidates and throws the others away as they come, so the cost per row is \
            little more than encoding its keys. The memory is that of `n` rows (for each key); what does not fit is \
            spilled to disk in sorted runs.",
        example: "n = 10\nby = \"cost\"\nkey = \"team\"\n",
        ports: &[],
        also_called: &["largest", "top_n", "nlargest"],
    };
}

impl TransformConfig for Top {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        if self.n.value == 0 {
            check.error_at(
                &self.n,
                "the top 0 rows are none: `n` must be at least 1",
                None,
            );
        }
        if self.by.0.is_empty() {
            check.error("`by` names nothing to compare");
        }
        let by = directed(&self.by, true, &input.schema, check);
        let key: Vec<Option<KeyColumn>> = self
            .key
            .0
            .iter()
            .map(|text| KeyColumn::written(text, &input.schema, check))
            .collect();
        let (key, (by, descending)) = (key.into_iter().collect::<Option<Vec<_>>>()?, by?);
        if self.n.value == 0 || by.is_empty() {
            return None;
        }
        let ascending = vec![false; key.len()];
        let group = unwrapped(KeySet::new(key.clone(), &ascending), check)?;
        let all = key.iter().cloned().chain(by).collect();
        let directions = [ascending, descending].concat();
        let keys = TopKeys {
            n: self.n.value,
            group: (!key.is_empty()).then_some(group),
            order: unwrapped(ordered_keys(all, directions), check)?,
        };
        Some(Arc::new(Checked {
            keys: Arc::new(keys),
            port: [Port::main(Arc::clone(&input.schema)).timed(input.timed)],
        }))
    }
}

struct TopKeys {
    n: u64,
    group: Option<KeySet>,
    order: OrderKeys,
}

impl TopKeys {
    /// The bytes of the rows' groups; none where all rows are one group.
    fn groups(&self, batch: &Batch) -> Result<Option<BinaryArray>> {
        let Some(group) = &self.group else {
            return Ok(None);
        };
        // No row fails here: those that do were taken out when their order was found.
        let keyed = group.split(batch.clone())?;
        group.encode(&keyed.keys).map(Some)
    }
}

struct Checked {
    keys: Arc<TopKeys>,
    port: [Port; 1],
}

impl Checked {
    fn stage(&self, name: &'static str, last: bool) -> StagePlan {
        let keys = Arc::clone(&self.keys);
        let schema = Arc::clone(&self.port[0].schema);
        let mut plan = StagePlan::local(name, move |context: StageContext| {
            Ok(Best {
                sorter: Sorter::new(&context),
                context,
                keys: Arc::clone(&keys),
                schema: Arc::clone(&schema),
                last,
                prune_at: PRUNE_ROWS,
                bar: None,
                sending: None,
                ranks: Ranks::default(),
            })
        });
        plan.amplifies = true;
        plan.stateful = true;
        plan
    }
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn stages(&self) -> Vec<StagePlan> {
        let mut candidates = self.stage("candidates", false);
        candidates.places = true;
        candidates.emits = Emits::Unordered;
        let mut winners = self.stage("winners", true);
        winners.emits = Emits::SortedAtEnd;
        winners.route = if self.keys.group.is_some() {
            Route::Keyed
        } else {
            Route::Gather
        };
        vec![candidates, winners]
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        wanted
            .iter()
            .fold(self.keys.order.reads(), |all, some| all.and(some))
    }

    fn explain(&self) -> Vec<String> {
        let of = if self.keys.group.is_some() {
            "for each key"
        } else {
            "of all rows"
        };
        vec![format!(
            "the {} largest {of}; spills when its memory is full",
            self.keys.n
        )]
    }
}

/// The name under which rows are saved.
const ROWS: &str = "rows";

/// The hashes by which rows find the owner of their group.
fn hashes(groups: &BinaryArray) -> Vec<u64> {
    let keys = groups.iter().map(Option::unwrap_or_default);
    keys.map(key_hash).collect()
}

/// How many rows may come before the losers among them are thrown away.
const PRUNE_ROWS: usize = 65_536;

/// Keeps the best rows: the candidates of one worker, or (`last`) the winners among all candidates.
struct Best {
    context: StageContext,
    keys: Arc<TopKeys>,
    schema: SchemaRef,
    last: bool,
    sorter: Sorter,
    prune_at: usize,
    /// Where all rows are one group: the key of the n-th best so far. What is not before it has lost.
    bar: Option<Vec<u8>>,
    sending: Option<Sorted>,
    ranks: Ranks,
}

impl Best {
    /// Throws losers away. What is left goes back, or out of memory if it is too much.
    fn prune(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let mut held = self.sorter.take()?;
        self.keep_first(&mut held)?;
        if held.bytes_left() > self.context.memory / 2 {
            return self.unload(held, out);
        }
        while let Some(batch) = held.next(self.context.batch_rows)? {
            self.set_bar(&batch);
            self.sorter.push(batch)?;
        }
        self.prune_at = 2 * self.sorter.rows() + PRUNE_ROWS;
        Ok(Flow::Ready)
    }

    fn keep_first(&self, held: &mut HeldRows) -> Result<()> {
        let groups = held
            .batches()
            .iter()
            .map(|batch| self.keys.groups(batch))
            .collect::<Result<Option<Vec<_>>>>();
        match groups? {
            Some(groups) => held.keep_first(self.keys.n, |(batch, row)| {
                groups[batch as usize].value(row as usize)
            }),
            None => held.keep_first(self.keys.n, |_| &[]),
        }
        Ok(())
    }

    fn set_bar(&mut self, batch: &Batch) {
        let reached = self.sorter.rows() as u64 + batch.len() as u64 == self.keys.n;
        if let (None, true, Some(order)) = (&self.keys.group, reached, batch.order()) {
            self.bar = Some(order.value(order.len() - 1).to_vec());
        }
    }

    fn unload(&mut self, mut held: HeldRows, out: &mut dyn Output) -> Result<Flow> {
        if self.last {
            self.sorter.spill_sorted(&mut held)?;
            return Ok(Flow::Ready);
        }
        self.sending = Some(Sorted::Held(held));
        self.more(out)
    }

    /// A batch on its way out: candidates with the hash of their key, winners with their order.
    fn dressed(&mut self, batch: Batch) -> Result<Batch> {
        let groups = self.keys.groups(&batch)?;
        if self.last {
            let winning = self.ranks.within(self.keys.n, batch.len(), groups.as_ref());
            return batch.with_places(Places::Unknown).filter(&winning);
        }
        let hash = groups.map(|groups| hashes(&groups).into());
        Ok(batch.with_order(None).with_hash(hash))
    }
}

/// The rank of the row that came last, in its group.
#[derive(Default)]
struct Ranks {
    group: Option<Vec<u8>>,
    rank: u64,
}

impl Ranks {
    /// Which of the next rows are among the first `n` of their group.
    fn within(&mut self, n: u64, rows: usize, groups: Option<&BinaryArray>) -> BooleanArray {
        let within = (0..rows).map(|row| {
            let group = groups.map_or(&[][..], |groups| groups.value(row));
            if self.group.as_deref() != Some(group) {
                self.group = Some(group.to_vec());
                self.rank = 0;
            }
            self.rank += 1;
            Some(self.rank <= n)
        });
        within.collect()
    }
}

impl Stage for Best {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let batch = conform(batch, &self.schema)?;
        let (keyed, mut batch) = self.keys.order.set(batch)?;
        if !keyed.bad.is_empty() {
            out.bad(keyed.bad)?;
        }
        if let (Some(bar), Some(order)) = (&self.bar, batch.order()) {
            let hopeful: BooleanArray = order
                .iter()
                .map(|key| Some(key < Some(bar.as_slice())))
                .collect();
            batch = batch.filter(&hopeful)?;
        }
        self.sorter.push(batch)?;
        if self.sorter.rows() > self.prune_at || self.sorter.bytes() > self.context.memory {
            return self.prune(out);
        }
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let limit = self.context.batch_rows;
        while let Some(sending) = self.sending.as_mut() {
            let finished = self.last && self.keys.group.is_none() && self.ranks.rank >= self.keys.n;
            let Some(batch) = sending.next(limit)?.filter(|_| !finished) else {
                break;
            };
            let batch = self.dressed(batch)?;
            out.send(0, batch);
            if out.full() {
                return Ok(Flow::More);
            }
        }
        self.sending = None;
        Ok(Flow::Ready)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.sending = Some(if self.last {
            self.sorter.finish()?
        } else {
            let mut held = self.sorter.take()?;
            self.keep_first(&mut held)?;
            Sorted::Held(held)
        });
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.sorter.save(ROWS, into);
        Ok(())
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        if !self.last {
            // Candidates are of no worker, and are pruned rather than spilled: when the next rows come.
            return from.rows(ROWS, Share::Dealt, &mut |batch| self.sorter.push(batch));
        }
        let keys = Arc::clone(&self.keys);
        let owners = |batch: &Batch| {
            let hashes = keys.groups(batch)?.as_ref().map(hashes);
            Ok(hashes.unwrap_or_else(|| vec![0; batch.len()]))
        };
        let share = Share::Keyed(&owners);
        let schema = Arc::clone(&self.schema);
        self.sorter.restore(ROWS, (from, share), schema)
    }

    fn bytes(&self) -> usize {
        self.sorter.bytes()
    }

    fn keys(&self) -> usize {
        self.sorter.rows()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{build, drives, plain, problems, rows};
    use dataflow_testkit::Drive;

    #[test]
    fn the_largest_rows_by_rank() {
        let input =
            rows("k:dict x:f64 name\na 2 p\nb 5 q\na 7 r\n- 1 s\na nan t\nb - u\na 7 v\nb 5 w");
        for (config, expected) in [
            (
                "n = 3\nby = \"x\"",
                "k:dict x:f64 name\na nan t\na 7 r\na 7 v",
            ),
            (
                "n = 2\nby = [\"x asc\", \"name\"]",
                "k:dict x:f64 name\n- 1 s\na 2 p",
            ),
            (
                "n = 2\nby = \"x\"\nkey = \"k\"",
                "k:dict x:f64 name\na nan t\na 7 r\nb 5 q\nb 5 w\n- 1 s",
            ),
            (
                "n = 100\nby = \"x * 1\"\nkey = [\"k\", \"x is null\"]",
                "k:dict x:f64 name\na nan t\na 7 r\na 7 v\na 2 p\nb 5 q\nb 5 w\nb - u\n- 1 s",
            ),
        ] {
            let top = build::<Top>(config, &input);
            for drive in drives() {
                let outcome = drive.run(top.as_ref(), &input).expect("runs");
                assert_eq!(
                    plain(&outcome.rows()),
                    plain(&rows(expected)),
                    "{config} {drive:?}"
                );
            }
        }
    }

    #[test]
    fn many_rows_are_pruned_and_spilled() {
        let lines: Vec<String> = (0..20_000)
            .map(|i| format!("{} {}", (i * 7919) % 20_011, i % 3_000))
            .collect();
        let input = rows(&format!("x:i64 k:i64\n{}", lines.join("\n")));
        for config in [
            "n = 5\nby = \"x\"",
            "n = 2\nby = \"x\"\nkey = \"k\"",
            "n = 15000\nby = \"x\"",
        ] {
            let top = build::<Top>(config, &input);
            let expected = Drive::default().run(top.as_ref(), &input).expect("runs");
            assert_eq!(expected.spilled_runs, 0);
            for (workers, memory, spills, (cut_every, via)) in [
                (1, 10_000, true, (0, 1)),
                (3, 10_000, true, (0, 1)),
                (2, 1 << 30, false, (0, 1)),
                (3, 10_000, true, (20, 2)),
                (2, 1 << 30, false, (20, 3)),
            ] {
                let drive = Drive {
                    workers,
                    memory,
                    piece_rows: 100,
                    batch_rows: 70,
                    pausing: true,
                    mark_every: 1,
                    cut_every,
                    via,
                };
                let outcome = drive.run(top.as_ref(), &input).expect("runs");
                assert_eq!(outcome.rows(), expected.rows(), "{config} {drive:?}");
                let spills = spills && !config.contains("n = 5");
                assert_eq!(outcome.spilled_runs > 0, spills, "{config} {drive:?}");
            }
        }
    }

    #[test]
    fn wrong_tops_are_said() {
        let input = rows("x:f64\n1");
        for wrong in [
            "n = 0\nby = \"x\"",
            "n = 1\nby = []",
            "n = 1\nby = \"y\"",
            "n = 1\nby = \"x\"\nkey = \"z\"",
            "by = \"x\"",
        ] {
            assert_eq!(problems::<Top>(wrong, &input).len(), 1, "{wrong}");
        }
    }
}

//! Building a run that goes on from an earlier one: who held what, and how far it was read.

use dataflow_core::time::BEGINNING;

use super::*;
use crate::positions::Facts;
use crate::reading::Passed;
use crate::trained::Trained;

/// The operators that hold something at a snapshot, by their index: the component and a name that no other operator of it has.
pub(super) fn operators(plan: &Plan, layout: &Layout) -> BTreeMap<usize, (String, String)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut named = BTreeMap::new();
    for (index, operator) in layout.operators.iter().enumerate() {
        if matches!(operator.job, Job::Read(_)) {
            continue;
        }
        let count = counts.entry(&operator.name).or_default();
        let id = plan.nodes[operator.node].id.to_string();
        named.insert(index, (id, format!("{} {count}", operator.name)));
        *count += 1;
    }
    named
}

/// That all sources can be read again.
pub(super) fn check_repeatable(plan: &Plan, layout: &Layout) -> Result<()> {
    for node in &layout.sources {
        let node = &plan.nodes[*node];
        if let Work::Source(source) = &node.work
            && source.live()
        {
            let what = "rows that can be read only once cannot be gone on with after a stop";
            return Err(Error::new(Fault::Pipeline, what)
                .component(&*node.id)
                .help("leave out `[state]`, or let the rows come from a file"));
        }
    }
    Ok(())
}

/// The splits of all sources, with numbers that go on from those of an earlier run; and the numbers that are left.
pub(super) fn numbered(
    plan: &Plan,
    layout: &Layout,
    splits: Vec<Vec<Split>>,
    earlier: Option<&Facts>,
    trained: Option<&Trained>,
) -> Result<(Vec<Splits>, FurtherNumbers)> {
    let ordered = plan.nodes_in_place();
    let mut numbering = match trained {
        // State that is taken over may have places: rows of this run come behind those.
        Some(trained) => Numbering::behind_other(&trained.manifest.facts),
        None => Numbering::behind(earlier),
    };
    let mut numbered = Vec::with_capacity(splits.len());
    for (index, splits) in layout.sources.iter().zip(splits) {
        let node = &plan.nodes[*index];
        if let Work::Source(source) = &node.work {
            let rules = Rules {
                id: &node.id,
                ordered: ordered[*index],
                grows: source.grows(),
            };
            numbered.push(numbering.splits(source.as_ref(), splits, &rules)?);
        }
    }
    Ok((numbered, numbering.further()))
}

/// What an earlier run knew of the time, which new rows must not be behind.
pub(super) fn passed(shared: &Shared, source: usize) -> Option<Passed> {
    let splits = &shared.splits[source];
    let counts = splits.watermark > BEGINNING && !splits.new.is_empty();
    counts.then(|| Passed {
        watermark: splits.watermark,
        splits: splits.new.clone(),
        names: Arc::clone(&shared.names),
    })
}

/// How many rows an earlier run has read of the splits of a source, by their numbers among all.
pub(super) fn rows_read(shared: &Shared, source: usize) -> Arc<HashMap<u32, u64>> {
    let splits = &shared.splits[source];
    let from = splits.from.iter();
    Arc::new(
        from.map(|(split, at)| (splits.numbers[*split], at.rows))
            .collect(),
    )
}

/// Opens a sink, or goes on with what an earlier run has written.
pub(super) fn open(
    shared: &Shared,
    at: (usize, &Operator),
    sink: &dyn Sink,
    context: &SinkContext,
) -> Result<Box<dyn Writer>> {
    let Some(earlier) = held(shared, at)?.map(Earlier::stages) else {
        return sink.open(context);
    };
    let (spill, id) = (Arc::clone(&shared.spill), Arc::clone(&context.id));
    sink.resume(context, &Restored::new(&earlier, (0, 1), spill, id))
}

/// The component and the name of an operator that holds something.
fn name_of(shared: &Shared, index: usize) -> Option<(String, String)> {
    operators(&shared.plan, &shared.layout).remove(&index)
}

/// What an operator held at the snapshot that the run goes on from.
fn held<'a>(shared: &'a Shared, (index, _): (usize, &Operator)) -> Result<Option<Earlier<'a>>> {
    let name = name_of(shared, index);
    let Some((snapshot, (component, name))) = shared.earlier.as_ref().zip(name) else {
        return Ok(None);
    };
    Earlier::find(snapshot, (&component, &name), &shared.folder).map(Some)
}

/// Lets an operator go on with what it held at the snapshot that the run goes on from.
pub(super) fn resume(
    shared: &Arc<Shared>,
    (index, job): (usize, &Operator),
    operator: &mut StageOperator,
) -> Result<()> {
    let alone = matches!(job.address, Some(Address::Worker(_)));
    let Some(earlier) = held(shared, (index, job))? else {
        return take_over(shared, index, alone, operator);
    };
    let (own, over) = earlier.own();
    operator.resume(&own, (over, alone))?;
    operator.restore(&earlier.stages(), alone)?;
    resume_waiting(shared, index, operator.share(alone), operator)
}

/// Lets an operator begin with what one of another pipeline held, if its component takes that over. Nothing else of that pipeline counts:
/// not how far it was in time, nor that it had ended.
fn take_over(
    shared: &Shared,
    index: usize,
    alone: bool,
    operator: &mut StageOperator,
) -> Result<()> {
    let Some((trained, (component, name))) = shared.trained.as_ref().zip(name_of(shared, index))
    else {
        return Ok(());
    };
    if !trained.components.contains(&component) {
        return Ok(());
    }
    let theirs = Earlier::find(&trained.snapshot, (&component, &name), &shared.folder)?;
    let (own, _) = theirs.own();
    operator.number_behind(&own)?;
    let restored = operator.restore(&theirs.stages().copied(), alone);
    let taken = restored.and_then(|()| operator.take_over());
    taken.map_err(|error| {
        let message =
            format!("the state that `{component}` is to begin with does not fit it: {error}");
        Error::new(Fault::Pipeline, message)
            .help("its settings and the columns that it reads must be what they were there")
    })
}

/// The same for rows that waited for another input to end.
fn resume_waiting(
    shared: &Shared,
    index: usize,
    (worker, workers): (usize, usize),
    operator: &mut StageOperator,
) -> Result<()> {
    let Some((snapshot, (component, name))) = shared.earlier.as_ref().zip(name_of(shared, index))
    else {
        return Ok(());
    };
    for (input, spool) in operator.spools() {
        let name = name_of_waiting(&name, input);
        let waiting = Earlier::find(snapshot, (&component, &name), &shared.folder)?;
        let before = waiting.workers();
        if before != workers && waiting.has_rows() {
            let message = format!("rows wait here for another input to end, on {before} workers");
            let help = format!("go on with `--workers {before}`");
            return Err(Error::resource(message).help(help));
        }
        let (spill, id) = (Arc::clone(&shared.spill), component.as_str().into());
        spool.restore(&Restored::new(&waiting, (worker, workers), spill, id))?;
    }
    Ok(())
}

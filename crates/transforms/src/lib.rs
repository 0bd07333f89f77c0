//! The transforms: what is done with rows between sources and sinks, one file per component.

use dataflow_core::component::Component;

mod aggregate;
mod asof;
mod by_time;
mod calls;
mod columns;
mod config;
mod dedup;
mod describe;
mod filter;
mod held;
mod in_turn;
mod interval;
mod join;
mod late;
mod limit;
mod lookup;
mod matching;
mod one_group;
mod per_key;
mod previous;
mod resample;
mod route;
mod saved;
mod select;
mod signals;
mod sort;
mod spectrogram;
mod time_join;
mod top;
mod union;
mod unnest;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod in_time_tests;

/// All transforms, by name.
pub fn list() -> Vec<Component> {
    vec![
        Component::transform::<aggregate::Aggregate>(),
        Component::transform::<asof::Asof>(),
        Component::transform::<signals::Decimate>(),
        Component::transform::<dedup::Dedup>(),
        Component::transform::<previous::Delta>(),
        Component::transform::<describe::Describe>(),
        Component::transform::<signals::Detrend>(),
        Component::transform::<filter::Filter>(),
        Component::transform::<signals::Find>(),
        Component::transform::<signals::Fir>(),
        Component::transform::<signals::Iir>(),
        Component::transform::<interval::Interval>(),
        Component::transform::<join::Join>(),
        Component::transform::<previous::Lag>(),
        Component::transform::<limit::Limit>(),
        Component::transform::<lookup::Lookup>(),
        Component::transform::<signals::MovingAverage>(),
        Component::transform::<previous::Rate>(),
        Component::transform::<resample::Resample>(),
        Component::transform::<route::Route>(),
        Component::transform::<select::Select>(),
        Component::transform::<sort::Sort>(),
        Component::transform::<spectrogram::Spectrogram>(),
        Component::transform::<top::Top>(),
        Component::transform::<union::Union>(),
        Component::transform::<unnest::Unnest>(),
    ]
}

#[cfg(test)]
mod tests {
    use arrow_array::RecordBatch;
    use dataflow_core::TimeRule;
    use dataflow_testkit::{Drive, Outcome, Side, Timing};

    use crate::fixtures::{SECOND, cuts, example, lines};

    #[test]
    fn the_list_is_alphabetical_and_documented() {
        let list = super::list();
        let names: Vec<&str> = list.iter().map(|c| c.info.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(names, sorted);
        for component in &list {
            let info = component.info;
            assert!(
                !info.summary.is_empty() && !info.summary.ends_with('.'),
                "{}",
                info.name
            );
            assert!(
                info.manual.contains("memory"),
                "{} says its memory",
                info.name
            );
        }
    }

    #[test]
    fn examples_are_complete_and_valid() {
        let input = crate::fixtures::rows(
            "temperature:f64 vibration:f64 device team region cost:f64 raw Test_Time(s):f64 voltage:f64 current:f64 readings:list",
        );
        let table = crate::fixtures::rows("area price:f64 start:time end:time");
        let over_time = crate::fixtures::rows("device level:f64");
        for component in super::list() {
            let table = match component.info.name {
                "asof" | "interval" => &over_time,
                _ => &table,
            };
            let problems = crate::fixtures::component_problems(&component, &[&input, table]);
            assert!(problems.is_empty(), "{}: {problems:?}", component.info.name);
        }
    }

    /// Rows of the columns that examples name, half a second apart, and some of them late.
    fn some_rows(head: &str, cells: impl Fn(i64) -> String) -> (RecordBatch, Vec<i64>) {
        let lines: Vec<String> = (0..200).map(cells).collect();
        let rows = crate::fixtures::rows(&format!("{head}\n{}", lines.join("\n")));
        let behind = |row: i64| if row % 23 == 22 { 40 } else { row % 5 };
        let times = (0..200).map(|row| (row - behind(row)) * SECOND / 2);
        (rows, times.collect())
    }

    /// All that came out of a run.
    fn shown(outcome: &Outcome) -> Vec<Vec<String>> {
        let ports = (0..outcome.ports.len()).map(|port| lines(&outcome.port(port)));
        let told = [&outcome.bad, &outcome.late].map(|told| {
            let each = told
                .iter()
                .map(|row| format!("{:?} {}", row.place, row.message));
            each.collect()
        });
        let notes = outcome
            .notes
            .iter()
            .map(|note| format!("{note:?}"))
            .collect();
        ports.chain(told).chain([notes]).collect()
    }

    #[test]
    fn every_transform_goes_on_from_what_it_saved() {
        let input = "temperature:f64 vibration:f64 device team region cost:f64 raw Test_Time(s):f64 voltage:f64 current:f64 readings:list";
        let (input, times) = some_rows(input, |i| {
            let (a, b, c) = (i * 7919 % 31, i * 31 % 7, i * 17 % 11);
            let raw = if i % 13 == 0 {
                "no".into()
            } else {
                (i % 9).to_string()
            };
            format!("{a} {b} d{b} t{c} r{b} {c} {raw} {i} {a} {b} {a};{b};{c}")
        });
        let (table, _) = some_rows("area price:f64 start:time end:time", |i| {
            format!("r{} {i} {i} {}", i % 9, i + 10)
        });
        let (over_time, _) = some_rows("device level:f64", |i| format!("d{} {i}", i % 6));
        let rule = TimeRule {
            lateness: 5 * SECOND,
            max_future_skew: None,
            idle: None,
        };
        let timing = Some(Timing {
            times: &times,
            rule,
        });
        for component in super::list() {
            let name = component.info.name;
            let table = match name {
                "asof" | "interval" => &over_time,
                _ => &table,
            };
            let transform = example(&component, &[&input, table]);
            let sides: Vec<Side<'_>> = [&input, table][..=component.tables.len()]
                .iter()
                .map(|rows| Side { rows, timing })
                .collect();
            for drive in cuts() {
                let drive = Drive {
                    // A table must fit into the memory where it is held.
                    memory: drive.memory.max(if name == "lookup" { 1 << 20 } else { 1 }),
                    ..drive
                };
                let whole = Drive {
                    cut_every: 0,
                    ..drive
                };
                let whole = whole.run_sides(transform.as_ref(), &sides).expect("runs");
                let cut = drive.run_sides(transform.as_ref(), &sides).expect("runs");
                assert!(whole.counts().iter().sum::<usize>() > 0, "{name}");
                assert_eq!(shown(&cut), shown(&whole), "{name} {drive:?}");
            }
        }
    }
}

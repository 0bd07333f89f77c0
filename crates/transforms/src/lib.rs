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
mod sort;
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
        Component::transform::<dedup::Dedup>(),
        Component::transform::<previous::Delta>(),
        Component::transform::<describe::Describe>(),
        Component::transform::<filter::Filter>(),
        Component::transform::<interval::Interval>(),
        Component::transform::<join::Join>(),
        Component::transform::<previous::Lag>(),
        Component::transform::<limit::Limit>(),
        Component::transform::<lookup::Lookup>(),
        Component::transform::<previous::Rate>(),
        Component::transform::<resample::Resample>(),
        Component::transform::<route::Route>(),
        Component::transform::<select::Select>(),
        Component::transform::<sort::Sort>(),
        Component::transform::<top::Top>(),
        Component::transform::<union::Union>(),
        Component::transform::<unnest::Unnest>(),
    ]
}

#[cfg(test)]
mod tests {
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
}

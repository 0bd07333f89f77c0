//! What may be new when a run goes on, and what may not.

use dataflow_core::source::Head;
use dataflow_core::transform::Port;
use dataflow_core::{Cutter, Place, Reader, Wanted};

use super::*;

/// Files of which all that is known is what is in them.
#[derive(Clone)]
struct Files(Vec<(&'static str, &'static str)>);

impl Source for Files {
    fn ports(&self) -> &[Port] {
        &[]
    }
    fn narrow(self: Arc<Self>, _: &Wanted) -> Arc<dyn Source> {
        self
    }
    fn splits(&self) -> Result<Vec<Split>> {
        let split = |(name, text): &(&str, &str)| Split {
            name: (*name).into(),
            bytes: Some(text.len() as u64),
            rows: None,
        };
        Ok(self.0.iter().map(split).collect())
    }
    fn cutter(&self, _: usize, _: Place) -> Result<Box<dyn Cutter>> {
        unreachable!("nothing is read")
    }
    fn reader(&self) -> Result<Box<dyn Reader>> {
        unreachable!("nothing is read")
    }
    fn head(&self, split: usize, most: u64) -> Result<Option<Head>> {
        let text = self.0[split].1.as_bytes();
        Ok(Some(Head::of(&text[..text.len().min(most as usize)])))
    }
}

/// What a run knows that has read these to their ends. A file without a full stop at its end is unfinished.
fn earlier(files: &Files) -> Facts {
    let all = files.splits().expect("they are there");
    let position = |(at, split): (usize, &Split)| {
        let position = Position {
            number: Some(at as u32 + 3),
            rows: 10,
            whole: true,
            unfinished: !files.0[at].1.ends_with('.'),
            bytes: split.bytes,
            head: files.head(at, 4).expect("it is there"),
            ..Position::default()
        };
        (split.name.to_string(), position)
    };
    let source = SourcePosition {
        splits: all.iter().enumerate().map(position).collect(),
        numbers: Room { from: 3, until: 40 },
        ended: false,
        watermark: BEGINNING,
        arriving: None,
    };
    Facts {
        sources: [("rows".to_string(), source)].into(),
        ..Facts::default()
    }
}

fn now(facts: &Facts, files: &[(&'static str, &'static str)], ordered: bool) -> Result<Splits> {
    let files = Files(files.to_vec());
    let rules = Rules {
        id: "rows",
        ordered,
        grows: false,
    };
    let all = files.splits()?;
    Numbering::behind(Some(facts)).splits(&files, all, &rules)
}

/// The same of a source that grows, where order counts.
fn watched(facts: Option<&Facts>, files: &[(&'static str, &'static str)]) -> Result<Splits> {
    let files = Files(files.to_vec());
    let rules = Rules {
        id: "rows",
        ordered: true,
        grows: true,
    };
    let all = files.splits()?;
    Numbering::behind(facts).splits(&files, all, &rules)
}

#[test]
fn what_is_new_comes_behind_what_was_read() {
    let before = earlier(&Files(vec![("a", "1234."), ("b", "12.")]));
    for (fine, new) in [
        (&[("a", "1234."), ("b", "12.")][..], &[][..]),
        // Only what there was of a short file must be there still.
        (&[("a", "1234."), ("b", "12.456")], &[4]),
        (&[("a", "1234."), ("b", "12."), ("c", "1")], &[5]),
    ] {
        let splits = now(&before, fine, true).expect("goes on");
        assert_eq!(splits.numbers[..2], [3, 4]);
        assert_eq!(splits.new.iter().copied().collect::<Vec<_>>(), new);
    }
    for (wrong, why) in [
        (&[("a", "1234.")][..], "`b` was read, and is not there"),
        (
            &[("a", "1234."), ("aa", "1"), ("b", "12.")],
            "`aa` is new, and `b`",
        ),
        (&[("0", ""), ("a", "1234."), ("b", "12.")], "`0` is new"),
        (&[("a", "123."), ("b", "12.")], "`a` had 5 bytes"),
        (&[("a", "1234.6"), ("b", "12.")], "`a` has grown, and `b`"),
        (&[("a", "12x4."), ("b", "12.")], "`a` is not the file"),
        (&[("a", "1234."), ("b", "x2.456")], "`b` is not the file"),
    ] {
        let error = now(&before, wrong, true).expect_err("refused").to_string();
        assert!(error.contains(why), "{wrong:?}: {error}");
        assert!(error.contains("--fresh"), "{error}");
    }
}

#[test]
fn where_order_does_not_count_files_may_come_and_grow_anywhere() {
    let before = earlier(&Files(vec![("b", "1234."), ("d", "12.")]));
    let files = [
        ("a", "1"),
        ("b", "1234.6."),
        ("c", "2"),
        ("d", "12."),
        ("e", ""),
    ];
    let splits = now(&before, &files, false).expect("goes on");
    assert_eq!(splits.numbers, [5, 3, 6, 4, 7]);
    assert_eq!(splits.in_order(), [1, 3, 0, 2, 4]);
    assert_eq!(splits.new, [3, 5, 6, 7].into());
    assert_eq!(splits.unchanged(), [3].into());
    for wrong in [
        &[("b", "1234.")][..],
        &[("b", "1234."), ("d", "12")],
        &[("b", "xxxx."), ("d", "12.")],
    ] {
        assert!(now(&before, wrong, false).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_line_that_may_go_on_is_not_gone_on_with() {
    let before = earlier(&Files(vec![("a", "1234.")]));
    assert!(now(&before, &[("a", "1234.567")], false).is_ok());
    let before = earlier(&Files(vec![("a", "12345")]));
    assert!(now(&before, &[("a", "12345"), ("b", "")], true).is_ok());
    let error = now(&before, &[("a", "123456")], false).expect_err("refused");
    let error = error.to_string();
    assert!(error.contains("nothing ended its last line"), "{error}");
}

#[test]
fn nothing_comes_behind_an_end_that_was_told() {
    let mut before = earlier(&Files(vec![("a", "1234.")]));
    for source in before.sources.values_mut() {
        source.ended = true;
    }
    assert!(now(&before, &[("a", "1234.")], true).is_ok());
    for (files, what) in [
        (&[("a", "1234.6")][..], "`a` has grown"),
        (&[("a", "1234."), ("b", "")], "`b` is new"),
    ] {
        let error = now(&before, files, true).expect_err("refused").to_string();
        assert!(error.contains(what) && error.contains("`rows`"), "{error}");
    }
}

#[test]
fn splits_stay_where_they_are_among_those_of_other_sources() {
    let rules = Rules {
        id: "rows",
        ordered: true,
        grows: false,
    };
    let numbers = |earlier: Option<&Facts>, counts: [usize; 2]| -> [Splits; 2] {
        let mut numbering = Numbering::behind(earlier);
        ["a", "b"].map(|id| {
            let count = counts[usize::from(id == "b")];
            let names = ["0", "1", "2", "3", "4", "5"];
            let files = Files(names[..count].iter().map(|name| (*name, "1.")).collect());
            let all = files.splits().expect("they are there");
            let rules = Rules { id, ..rules };
            numbering.splits(&files, all, &rules).expect("goes on")
        })
    };
    let first = numbers(None, [3, 2]);
    assert!(first[0].numbers.iter().max() < first[1].numbers.iter().min());
    // Of the second source a file was begun, and of the first the one in the middle.
    let known = |at: usize, begun: usize| {
        let each = first[at].all.iter().zip(&first[at].numbers).enumerate();
        let position = |(of, (split, number)): (usize, (&Split, &u32))| {
            let position = Position {
                number: Some(*number),
                waits: of != begun,
                bytes: split.bytes,
                ..Position::default()
            };
            (split.name.to_string(), position)
        };
        SourcePosition {
            splits: each.map(position).collect(),
            numbers: first[at].room,
            ended: false,
            watermark: BEGINNING,
            arriving: None,
        }
    };
    for begun in [1, 9] {
        let sources = [
            ("a".to_string(), known(0, begun)),
            ("b".to_string(), known(1, 0)),
        ];
        let facts = Facts {
            sources: sources.into(),
            ..Facts::default()
        };
        let again = numbers(Some(&facts), [3, 2]);
        assert_eq!(again[0].numbers, first[0].numbers, "{begun}");
        assert_eq!(again[1].numbers, first[1].numbers, "{begun}");
        let grown = numbers(Some(&facts), [6, 5]);
        assert_eq!(grown[0].numbers[..3], first[0].numbers, "{begun}");
        assert!(grown[0].numbers.is_sorted() && grown[1].numbers.is_sorted());
        assert!(grown[0].numbers.iter().max() < grown[1].numbers.iter().min());
    }
}

#[test]
fn there_is_room_for_more_files_of_each_source() {
    let large = Room::of(300_000, 0, false);
    assert_eq!((large.from, large.until), (0, 300_000));
    let small = Room::of(3, large.until, false);
    assert_eq!(u64::from(small.until - small.from), ROOM);
    let grows = Room::of(3, 0, true);
    assert_eq!(u64::from(grows.until), Place::MAX_SPLITS / 4);
    let last = Room::of(5, (Place::MAX_SPLITS - 3) as u32, false);
    assert_eq!(last.until - last.from, 5, "which is told when it is read");
}

#[test]
fn splits_that_come_are_in_the_order_in_which_they_came() {
    let first = watched(None, &[("b", "1."), ("d", "2.")]).expect("begins");
    let arriving = first.arriving.expect("it grows");
    assert_eq!((arriving.from, first.arrived()), (2, vec![]));
    // Numbers 3 and 4 came before 5, which was not begun.
    let mut before = earlier(&Files(vec![("b", "1."), ("d", "2."), ("a", "3.")]));
    for source in before.sources.values_mut() {
        source.arriving = Some(Arriving {
            from: 5,
            next: 5,
            ..arriving
        });
        let last = source.splits.get_mut("a").expect("it is there");
        (last.waits, last.whole) = (true, false);
    }
    let files = [("a", "3."), ("b", "1."), ("c", ""), ("d", "2.")];
    let splits = watched(Some(&before), &files).expect("goes on");
    assert_eq!(splits.numbers, [5, 3, 6, 4]);
    assert_eq!(splits.in_order(), [1, 3, 0, 2]);
    assert_eq!(splits.arrived(), [0, 2]);
    assert_eq!(splits.new, [].into());
    // So they are when nobody waits for others any more.
    let splits = now(&before, &files, true).expect("goes on");
    assert_eq!((splits.numbers[0], splits.arrived()), (5, vec![0, 2]));
    let grown = [("a", "3."), ("b", "1.2."), ("d", "2.")];
    let error = watched(Some(&before), &grown).expect_err("refused");
    assert!(error.to_string().contains("`b` has grown, and `d`"));
    let grown = [("a", "3."), ("b", "1."), ("d", "2.3.")];
    let splits = watched(Some(&before), &grown).expect("goes on");
    assert_eq!(splits.new, [4].into());
}

#[test]
fn of_a_source_that_grows_what_was_read_may_go() {
    let mut before = earlier(&Files(vec![("a", "1."), ("b", "2.")]));
    let mut newest = Newest::default();
    newest.see(&[7], &Default::default());
    for source in before.sources.values_mut() {
        source.splits.get_mut("b").expect("it is there").newest = newest;
    }
    let splits = watched(Some(&before), &[("a", "1.")]).expect("goes on");
    let arriving = splits.arriving.expect("it grows");
    assert_eq!((arriving.gone, arriving.next), (newest, 5));
    // Its number is not given again, and its time is not forgotten.
    let mut later = earlier(&Files(vec![("a", "1.")]));
    for source in later.sources.values_mut() {
        source.arriving = Some(arriving);
    }
    let splits = watched(Some(&later), &[("a", "1."), ("c", "")]).expect("goes on");
    assert_eq!(splits.numbers, [3, 5]);
    assert_eq!(splits.arriving.expect("it grows").gone, newest);
    for source in before.sources.values_mut() {
        source.splits.get_mut("b").expect("it is there").whole = false;
    }
    let error = watched(Some(&before), &[("a", "1.")]).expect_err("refused");
    assert!(error.to_string().contains("`b` was read, and is not there"));
}

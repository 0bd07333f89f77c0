//! Moments at which a kill would hurt most, so that tests can have the process killed at exactly these.
//!
//! A build with debug assertions looks at the environment: `DATAFLOW_KILL_AT=manifest_renamed:2` ends the process when it
//! passes that moment for the second time, as if it had been killed. Other builds have nothing of it.

use std::fmt;

/// A moment of a run: between two steps that must both be done or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A snapshot's segment has one more block, and is not complete.
    BlockWritten,
    /// The segment is durable; no manifest names it.
    SegmentWritten,
    /// The manifest is durable under a name that does not count.
    ManifestWritten,
    /// The manifest has its name.
    ManifestRenamed,
    /// What a file sink has written so far is durable under its hidden name; the snapshot that knows of it is not.
    FileSaved,
    /// A sink has everything ready, others may not.
    SinkPrepared,
    /// All sinks have everything ready, and none has made anything visible.
    AllPrepared,
    /// A file is about to have its final name.
    FileComplete,
    /// A file has its final name, others may not.
    FileRenamed,
    /// Everything is visible; nobody was told.
    AllCommitted,
}

impl Moment {
    /// All of them, in the order in which a run comes by.
    pub const ALL: [Self; 10] = [
        Self::FileSaved,
        Self::BlockWritten,
        Self::SegmentWritten,
        Self::ManifestWritten,
        Self::ManifestRenamed,
        Self::SinkPrepared,
        Self::AllPrepared,
        Self::FileComplete,
        Self::FileRenamed,
        Self::AllCommitted,
    ];

    /// The variable of the environment that names a moment, and which of its passes is the last.
    pub const VARIABLE: &'static str = "DATAFLOW_KILL_AT";

    /// The process is at this moment.
    #[inline]
    pub fn pass(self) {
        #[cfg(debug_assertions)]
        armed::pass(self);
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BlockWritten => "block_written",
            Self::SegmentWritten => "segment_written",
            Self::ManifestWritten => "manifest_written",
            Self::ManifestRenamed => "manifest_renamed",
            Self::FileSaved => "file_saved",
            Self::SinkPrepared => "sink_prepared",
            Self::AllPrepared => "all_prepared",
            Self::FileComplete => "file_complete",
            Self::FileRenamed => "file_renamed",
            Self::AllCommitted => "all_committed",
        })
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Moment;

    /// The moment that was asked for, and how many passes are left.
    struct Fatal {
        moment: Moment,
        left: AtomicU64,
    }

    static FATAL: OnceLock<Option<Fatal>> = OnceLock::new();

    pub(super) fn pass(moment: Moment) {
        let Some(fatal) = FATAL.get_or_init(asked) else {
            return;
        };
        if fatal.moment == moment && fatal.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            // No destructor runs, and no other thread gets any further.
            std::process::abort();
        }
    }

    fn asked() -> Option<Fatal> {
        let text = std::env::var(Moment::VARIABLE).ok()?;
        fatal(&text)
    }

    fn fatal(text: &str) -> Option<Fatal> {
        let (name, count) = text.split_once(':')?;
        let moment = Moment::ALL.into_iter().find(|m| m.to_string() == name)?;
        let left = AtomicU64::new(count.parse().ok()?);
        Some(Fatal { moment, left })
    }

    #[test]
    fn every_moment_can_be_asked_for() {
        for moment in Moment::ALL {
            let fatal = fatal(&format!("{moment}:3")).expect("known");
            assert_eq!(fatal.moment, moment);
            assert_eq!(fatal.left.into_inner(), 3);
        }
        for wrong in ["", "never:1", "file_saved", "file_saved:x"] {
            assert!(fatal(wrong).is_none(), "{wrong}");
        }
    }
}

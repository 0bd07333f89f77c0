//! What a person may say besides the pipeline file: parameters, limits, what to leave out, and where to look.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Reads a text file: included files and secrets.
pub type ReadText = Arc<dyn Fn(&Path) -> io::Result<String> + Send + Sync>;

/// How a pipeline is to be loaded.
#[derive(Clone)]
pub struct Load {
    /// `name=value` sets a parameter, `engine.batch_rows=1000` (with a dot) any other key of the file.
    pub set: Vec<String>,
    /// The environment variables.
    pub environment: BTreeMap<String, String>,
    /// At most so many rows of every source.
    pub rows: Option<u64>,
    /// Components to leave out, with all that reads from them alone.
    pub without: Vec<String>,
    /// Outputs (`id` or `id.port`) to print as well, and how many rows of each.
    pub show: Vec<(String, Option<u64>)>,
    /// Read no data, headers or secrets.
    pub offline: bool,
    /// Whether a source may look at the head of standard input for its columns: only where a run follows.
    pub look_at_stdin: bool,
    /// When the run was first started, in nanoseconds since 1970: the value of `run_time()`. Now, if not given.
    pub run_time: Option<i64>,
    /// How files are read.
    pub read: ReadText,
}

impl Default for Load {
    /// Nothing set, no environment, and files from the disk.
    fn default() -> Self {
        Self {
            set: Vec::new(),
            environment: BTreeMap::new(),
            rows: None,
            without: Vec::new(),
            show: Vec::new(),
            offline: false,
            look_at_stdin: true,
            run_time: None,
            read: Arc::new(|path| std::fs::read_to_string(path)),
        }
    }
}

impl Load {
    /// With the environment variables of this process.
    pub fn with_environment() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            environment: std::env::vars_os().filter_map(text).collect(),
            ..Self::default()
        }
    }
}

impl std::fmt::Debug for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values of variables may be secret.
        f.debug_struct("Load")
            .field("rows", &self.rows)
            .field("without", &self.without)
            .field("show", &self.show)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

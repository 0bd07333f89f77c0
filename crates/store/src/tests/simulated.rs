//! A disk in memory on which the power can be cut: what was not synced may then be there, lost or torn.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Append, Disk, Ranged};

const SECTOR: usize = 512;

/// What goes wrong, and at which of the operations that change something.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The power goes.
    Cut,
    /// The disk is full, for so many operations.
    Full(u64),
    /// Nothing works, for so many operations.
    Broken(u64),
}

impl Fault {
    /// For how many operations it lasts.
    pub fn length(self) -> u64 {
        match self {
            Self::Cut => 1,
            Self::Full(length) | Self::Broken(length) => length,
        }
    }
}

#[derive(Clone, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
}

/// A change of the names in a folder that is not durable yet.
#[derive(Clone)]
enum Naming {
    Link(String, usize),
    Unlink(String),
    Rename(String, String, usize),
}

#[derive(Clone, Default)]
struct State {
    contents: Vec<Content>,
    live: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    unsynced: Vec<Naming>,
    operations: u64,
    faults: Vec<(u64, Fault)>,
    cut: bool,
    failed: bool,
}

/// The disk.
#[derive(Clone, Default)]
pub struct Simulated(Arc<Mutex<State>>);

/// Numbers that look random, from a seed.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Simulated {
    /// Adds a fault that comes so many operations from now.
    pub fn fault_in(&self, operations: u64, fault: Fault) {
        let mut state = self.state();
        let at = state.operations + operations;
        state.faults.push((at, fault));
    }

    /// Nothing goes wrong from now on.
    pub fn repair(&self) {
        self.state().faults.clear();
    }

    /// Has the power gone?
    pub fn is_cut(&self) -> bool {
        self.state().cut
    }

    /// Has anything gone wrong since the power came back?
    pub fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// What is found when the power is back.
    pub fn after_cut(&self, dice: &mut Dice) -> Self {
        let state = self.state();
        let mut names = state.durable.clone();
        for naming in &state.unsynced {
            if dice.below(2) == 0 {
                apply(&mut names, naming);
            }
        }
        let contents = state.contents.iter().map(|content| {
            let left = torn(content, dice);
            Content {
                live: left.clone(),
                durable: left,
            }
        });
        let found = State {
            contents: contents.collect(),
            live: names.clone(),
            durable: names,
            operations: state.operations,
            faults: state.faults.clone(),
            ..State::default()
        };
        Self(Arc::new(Mutex::new(found)))
    }

    /// The bytes of a file, to be changed behind everybody's back.
    pub fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let content = state.live[path];
        change(&mut state.contents[content].live);
        state.contents[content].durable = state.contents[content].live.clone();
    }

    /// All paths.
    pub fn paths(&self) -> Vec<String> {
        self.state().live.keys().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation that changes something; an error if it is not to succeed.
    fn operate(&self, takes_room: bool) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.powered()?;
        state.operations += 1;
        let now = state.operations;
        let faults = state.faults.clone();
        let before = std::mem::replace(&mut state.failed, true);
        for (at, fault) in faults {
            match fault {
                Fault::Cut if now == at => {
                    state.cut = true;
                    return Err(io::Error::other("the power is cut"));
                }
                Fault::Full(length) if takes_room && (at..at + length).contains(&now) => {
                    return Err(ErrorKind::StorageFull.into());
                }
                Fault::Broken(length) if (at..at + length).contains(&now) => {
                    return Err(io::Error::other("the disk is broken"));
                }
                _ => {}
            }
        }
        state.failed = before;
        Ok(state)
    }
}

/// What is left of a file: what was synced, and of the rest a prefix, or any sectors.
fn torn(content: &Content, dice: &mut Dice) -> Vec<u8> {
    let Content { live, durable } = content;
    match dice.below(4) {
        0 => durable.clone(),
        1 => live.clone(),
        2 if live.starts_with(durable) => {
            live[..durable.len() + dice.below(live.len() - durable.len() + 1)].to_vec()
        }
        _ => {
            let mut left = durable.clone();
            left.resize(durable.len().max(live.len()), 0);
            for (at, sector) in live.chunks(SECTOR).enumerate() {
                if dice.below(2) == 0 {
                    left[at * SECTOR..][..sector.len()].copy_from_slice(sector);
                }
            }
            left
        }
    }
}

fn apply(names: &mut BTreeMap<String, usize>, naming: &Naming) {
    match naming {
        Naming::Link(path, content) => drop(names.insert(path.clone(), *content)),
        Naming::Unlink(path) => drop(names.remove(path)),
        Naming::Rename(from, to, content) => {
            names.remove(from);
            names.insert(to.clone(), *content);
        }
    }
}

impl State {
    fn powered(&self) -> io::Result<()> {
        match self.cut {
            true => Err(io::Error::other("there is no power")),
            false => Ok(()),
        }
    }

    fn find(&self, path: &str) -> io::Result<usize> {
        self.powered()?;
        let found = self.live.get(path).copied();
        found.ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn name(&mut self, naming: Naming) {
        apply(&mut self.live, &naming);
        self.unsynced.push(naming);
    }
}

impl Disk for Simulated {
    fn create(&self, path: &str) -> io::Result<Box<dyn Append>> {
        let mut state = self.operate(true)?;
        let content = match state.live.get(path).copied() {
            Some(there) => {
                state.contents[there].live.clear();
                there
            }
            None => {
                state.contents.push(Content::default());
                let made = state.contents.len() - 1;
                state.name(Naming::Link(path.to_string(), made));
                made
            }
        };
        Ok(Box::new(Handle {
            disk: self.clone(),
            content,
        }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Ranged>> {
        let content = self.state().find(path)?;
        Ok(Box::new(Handle {
            disk: self.clone(),
            content,
        }))
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        let content = self.state().find(path)?;
        Handle {
            disk: self.clone(),
            content,
        }
        .sync()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.operate(false)?;
        let content = state.find(from)?;
        state.name(Naming::Rename(from.to_string(), to.to_string(), content));
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.operate(false)?;
        state.find(path)?;
        state.name(Naming::Unlink(path.to_string()));
        Ok(())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        state.powered()?;
        let inside = state.live.keys().filter(|path| folder_of(path) == folder);
        let name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_string();
        Ok(inside.map(name).collect())
    }

    fn make_folder(&self, _folder: &str) -> io::Result<()> {
        // Folders are made once, and synced before anything is in them.
        self.state().powered()
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let mut state = self.operate(false)?;
        let unsynced = std::mem::take(&mut state.unsynced);
        for naming in unsynced {
            let (Naming::Link(path, _) | Naming::Unlink(path) | Naming::Rename(path, ..)) = &naming;
            match folder_of(path) == folder {
                true => apply(&mut state.durable, &naming),
                false => state.unsynced.push(naming),
            }
        }
        Ok(())
    }

    fn path(&self, path: &str) -> PathBuf {
        Path::new("simulated").join(path)
    }
}

struct Handle {
    disk: Simulated,
    content: usize,
}

impl Append for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.disk.operate(true).map(drop);
        // What fails may have begun.
        let taken = match written {
            Ok(()) => bytes.len(),
            Err(_) => bytes.len() / 2,
        };
        let mut state = self.disk.state();
        state.contents[self.content]
            .live
            .extend_from_slice(&bytes[..taken]);
        written
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.operate(false)?;
        let content = &mut state.contents[self.content];
        content.durable.clone_from(&content.live);
        Ok(())
    }
}

impl Ranged for Handle {
    fn length(&self) -> u64 {
        self.disk.state().contents[self.content].live.len() as u64
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let state = self.disk.state();
        state.powered()?;
        let content = &state.contents[self.content].live;
        let from = content.get(offset as usize..offset as usize + bytes.len());
        bytes.copy_from_slice(from.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

//! Where the agent's memory is kept: one small file, replaced as a whole, in the host container's own directory, which
//! outlives the container and the boot.

use std::fs::{File, OpenOptions, create_dir_all, rename};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use crate::transport::BoxFuture;

/// Keeps a memory.
pub trait Journal: Send + Sync {
    /// The memory as it was saved last; `None` for none.
    fn load(&self) -> BoxFuture<'_, Result<Option<Memory>, JournalError>>;

    /// Replaces it. Once this returns it outlives a power cut; before, the old one does.
    fn save<'a>(&'a self, memory: &'a Memory) -> BoxFuture<'a, Result<(), JournalError>>;
}

/// Why a memory could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read.
    #[error("cannot read the journal {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is no journal, or that of a newer agent.
    #[error("the journal {} cannot be understood; it is kept as {}", .path.display(), .kept.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where it was moved to, for a person to look at.
        kept: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It cannot be written.
    #[error("cannot write the journal {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// What stands in the file.
#[derive(Serialize, Deserialize)]
struct Saved<M> {
    v: u32,
    memory: M,
}

const FORMAT: u32 = 1;

/// A journal in a file.
#[derive(Debug, Clone)]
pub struct FileJournal {
    path: PathBuf,
}

impl FileJournal {
    /// `journal.json` in `directory`.
    pub fn within(directory: &Path) -> Self {
        Self { path: directory.join("journal.json") }
    }

    fn read(&self) -> Result<Option<Memory>, JournalError> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(JournalError::Read { path: self.path.clone(), source }),
        };
        let known = |saved: Saved<Memory>| match saved.v {
            FORMAT => Ok(Some(saved.memory)),
            other => Err(serde::de::Error::custom(format!("version {other} is not known to this program"))),
        };
        serde_json::from_slice(&text).and_then(known).map_err(|source| {
            let kept = self.path.with_extension("corrupt");
            if let Err(error) = rename(&self.path, &kept) {
                tracing::warn!("cannot move the journal out of the way: {error}");
            }
            JournalError::Corrupt { path: self.path.clone(), kept, source }
        })
    }

    fn write(&self, memory: &Memory) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&Saved { v: FORMAT, memory })?)?;
        file.sync_all()?;
        rename(&new, &self.path)?;
        // The rename itself must outlive a power cut as well.
        let directory = self.path.parent().unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    }
}

impl Journal for FileJournal {
    fn load(&self) -> BoxFuture<'_, Result<Option<Memory>, JournalError>> {
        Box::pin(async { self.read() })
    }

    fn save<'a>(&'a self, memory: &'a Memory) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(async { self.write(memory).map_err(|source| JournalError::Write { path: self.path.clone(), source }) })
    }
}

/// A journal in memory, for simulated hosts: clones are the same journal.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal(Arc<Mutex<Option<Memory>>>);

impl Journal for MemoryJournal {
    fn load(&self) -> BoxFuture<'_, Result<Option<Memory>, JournalError>> {
        Box::pin(async { Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()) })
    }

    fn save<'a>(&'a self, memory: &'a Memory) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(async {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(memory.clone());
            Ok(())
        })
    }
}

/// One agent per host: held as long as the process lives, and freed by the kernel with it.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<File>,
}

/// Why this process may not be the agent.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is one.
    #[error("another agent runs on this host (it holds {})", .path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file cannot be used.
    #[error("cannot use the lock file {}", .path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Lock {
    /// Takes the lock file `lock` in `directory`, which is made where it is missing.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join("lock");
        let unusable = |source| LockError::Unusable { path: path.clone(), source };
        create_dir_all(directory).map_err(unusable)?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(unusable)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(Self { _held: held }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(LockError::Held { path }),
            Err((_, errno)) => Err(unusable(errno.into())),
        }
    }
}

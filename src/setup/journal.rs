//! What was changed, written down before it is: `/var/lib/denet/setup.journal`, a JSON object a line.
//!
//! The first line is the [`Header`]. Each change is two lines: `begun` with what was there, on
//! the disk before anything is touched, and `done`. A change that began and has no end was
//! interrupted: nobody knows which of its two states holds. Contents that were replaced lie beside, by
//! their digest.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::state::{State, Target, digest};
use super::validate::refusal;
use crate::sys::place::{Attributes, Base, Entry, Place, Wanted};

/// Form of the journal. It changes when an older denet could not undo it.
pub(crate) const SCHEMA: u32 = 2;

/// Where it lies, below the root of the system.
pub(crate) const FOLDER: &str = "var/lib/denet";
const FOLDER_MODE: u32 = 0o700;
const NAME: &str = "setup.journal";
const LOCK: &str = "setup.lock";
const CONTENTS: &str = "contents";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Form of the journal.
    pub(crate) schema: u32,
    /// Version of the denet that began it.
    pub(crate) version: String,
    /// `/var/lib/denet` was made for it.
    pub(crate) made_folder: bool,
}

/// A line behind the header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Begun {
        target: Target,
        before: State,
        wanted: State,
    },
    Done {
        target: Target,
    },
    /// Everything that was requested is done.
    Complete,
}

/// A target that was changed, once or more often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) target: Target,
    /// What it was at first.
    pub(crate) before: State,
    /// What it was put into at last.
    pub(crate) wanted: State,
    /// The last change did not end.
    pub(crate) interrupted: bool,
}

/// The contents of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// In the order of the first changes.
    pub(crate) changes: Vec<Change>,
    /// The last setup ran to its end.
    pub(crate) complete: bool,
}

/// An open journal, which nobody else writes to meanwhile.
#[derive(Debug)]
pub(crate) struct Journal {
    base: Base,
    file: File,
    header: Header,
    changes: Changes,
    _lock: File,
}

/// Why there is no journal to work with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// Another denet is at it.
    #[error("another denet setup is at work; wait for it to end")]
    Busy,
    /// Its form is not ours.
    #[error("{}: written by a newer denet (schema {found}); use that one", path.display())]
    Newer { path: PathBuf, found: u64 },
    /// An older denet wrote it, and named the contents that it keeps by a weaker digest.
    #[error(
        "{}: an earlier build of denet wrote it (version {version}, schema below {SCHEMA}), and what it kept cannot \
             be verified; undo it with the denet that wrote it",
        path.display()
    )]
    Older {
        path: PathBuf,
        /// Which denet.
        version: String,
    },
    /// It names something that setup never changes.
    #[error(
        "{}: line {line} names something that denet setup never changes ({what}), so denet did not write it; nothing \
             was done. Move the journal away, and undo by hand what `denet setup` lists",
        path.display()
    )]
    Foreign {
        path: PathBuf,
        /// Which line, from 1 on.
        line: usize,
        /// What it names.
        what: String,
    },
    /// It does not say what a journal says.
    #[error("{}: line {line} is damaged, so what was changed before that is not known for sure; move the \
             journal away, and undo by hand what `denet setup` lists", path.display())]
    Damaged {
        path: PathBuf,
        /// Which line, from 1 on.
        line: usize,
    },
    /// A link leads elsewhere from where it lies, or others decide what is there.
    #[error(
        "{0}; the journal of setup is kept there, and nothing was changed without it: put a directory \
             there that belongs to root and that root alone may write (0755), then run this again"
    )]
    Place(String),
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it answers.
        source: io::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> JournalError + '_ {
    |source| JournalError::Io {
        path: path.to_owned(),
        source,
    }
}

/// A place on the way to [`FOLDER`] or below: no link leads there, and nobody but root writes there.
fn place(base: &Base, path: &Path) -> Result<Place, JournalError> {
    Place::open_own(base, path).map_err(|source| match untrusted(base, &source) {
        Some(what) => JournalError::Place(what),
        None => at(&base.join(path))(source),
    })
}

/// Which directory on the way is none to rely on, where the error says that one is not.
fn untrusted(base: &Base, error: &io::Error) -> Option<String> {
    match error.raw_os_error() {
        Some(libc::ELOOP | libc::ENOTDIR) => {
            let mut folders: Vec<_> = Path::new(FOLDER).ancestors().collect();
            folders.reverse();
            folders.into_iter().find_map(|it| no_directory(base, it))
        }
        // Not what the system answers, but what was found out on the way.
        None if error.kind() == io::ErrorKind::PermissionDenied => Some(error.to_string()),
        _ => None,
    }
}

fn no_directory(base: &Base, folder: &Path) -> Option<String> {
    let path = base.join(folder);
    match Place::open(base, folder).ok()?.look().ok()?? {
        Entry::Directory { .. } => None,
        Entry::Link(to) => Some(format!("{}: a link to {}", path.display(), to.display())),
        _ => Some(format!("{}: no directory", path.display())),
    }
}

/// The text of the journal; `None` if there is none.
fn text(base: &Base) -> Result<Option<String>, JournalError> {
    let path = base.join(FOLDER).join(NAME);
    let invalid = |what| Err(at(&path)(io::Error::new(io::ErrorKind::InvalidData, what)));
    let place = match place(base, &Path::new(FOLDER).join(NAME)) {
        Err(JournalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        place => place?,
    };
    match place.look_own().map_err(at(&path))? {
        None => Ok(None),
        Some(Entry::File { bytes, .. }) => {
            String::from_utf8(bytes).map_or_else(|_| invalid("not UTF-8"), |text| Ok(Some(text)))
        }
        Some(_) => invalid("not a regular file"),
    }
}

/// What a journal says, for those who only look; `None` if there is none.
///
/// # Errors
/// It cannot be read or understood, or lies where others may write.
pub(crate) fn read(base: &Base) -> Result<Option<Recorded>, JournalError> {
    let path = base.join(FOLDER).join(NAME);
    let parsed = match text(base)? {
        Some(text) => parse(&path, &text)?,
        None => None,
    };
    Ok(parsed.map(|parsed| Recorded {
        changes: parsed.changes.all,
        complete: parsed.complete,
    }))
}

/// Removes the journal's directory if a setup that was killed left it without a journal.
///
/// # Errors
/// Another setup is running, or what the system answers.
pub(crate) fn clear(base: &Base) -> Result<(), JournalError> {
    match is_left(base)? {
        true => Journal::open(base)?.remove(),
        false => Ok(()),
    }
}

/// Whether the directory is as denet makes it, and contains nothing but a lock and an empty journal.
fn is_left(base: &Base) -> Result<bool, JournalError> {
    let path = base.join(FOLDER);
    let place = match place(base, Path::new(FOLDER)) {
        Err(JournalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(false);
        }
        place => place?,
    };
    match place.look().map_err(at(&path))? {
        Some(Entry::Directory { mode, .. }) if mode == FOLDER_MODE => {}
        _ => return Ok(false),
    }
    let names = place.names().map_err(at(&path))?;
    let only_own = names.iter().all(|name| name == LOCK || name == NAME);
    Ok(only_own && read(base)?.is_none())
}

impl Journal {
    /// Opens it, or begins one.
    ///
    /// # Errors
    /// Another process has it open, or it cannot be read, understood or written.
    pub(crate) fn open(base: &Base) -> Result<Self, JournalError> {
        let made_folder = make_folder(base, Path::new(FOLDER))?;
        let lock = locked(base)?;
        let path = base.join(FOLDER).join(NAME);
        let text = text(base)?.unwrap_or_default();
        let file = private(base, NAME)?;
        let parsed = parse(&path, &text)?;
        let fresh = parsed.is_none();
        let made_folder = made_folder || fresh && is_left(base)?;
        let parsed = parsed.unwrap_or_else(|| Parsed {
            header: Header {
                schema: SCHEMA,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                made_folder,
            },
            changes: Changes::default(),
            complete: false,
            whole: 0,
        });
        // A line that was cut short stands for something that did not begin.
        file.set_len(parsed.whole as u64).map_err(at(&path))?;
        let mut journal = Self {
            base: base.clone(),
            file,
            header: parsed.header,
            changes: parsed.changes,
            _lock: lock,
        };
        if fresh {
            let header = journal.header.clone();
            journal.append(&header)?;
        }
        Ok(journal)
    }

    /// Everything that was changed, in the order of the first changes.
    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes.all
    }

    /// Notes that a target is about to be changed, and keeps the content that is replaced.
    ///
    /// # Errors
    /// It cannot be written: nothing may be changed then.
    pub(crate) fn begin(
        &mut self,
        target: &Target,
        before: &State,
        content: &[u8],
        wanted: &State,
    ) -> Result<(), JournalError> {
        if let State::File(file) = before {
            self.keep(&file.digest, content)?;
        }
        self.append(&Line::Begun {
            target: target.clone(),
            before: before.clone(),
            wanted: wanted.clone(),
        })?;
        self.changes.begun(target, before, wanted);
        Ok(())
    }

    /// Notes that it was changed.
    ///
    /// # Errors
    /// It cannot be written; the change counts as interrupted.
    pub(crate) fn done(&mut self, target: &Target) -> Result<(), JournalError> {
        self.append(&Line::Done {
            target: target.clone(),
        })?;
        self.changes.done(target);
        Ok(())
    }

    /// Records that everything that was requested is done.
    ///
    /// # Errors
    /// It cannot be written; setup counts as interrupted.
    pub(crate) fn complete(&mut self) -> Result<(), JournalError> {
        self.append(&Line::Complete)
    }

    /// The content that was replaced.
    ///
    /// # Errors
    /// It is gone, or not what it was.
    pub(crate) fn content(&self, digest_of_it: &str) -> Result<Vec<u8>, JournalError> {
        let kept = Path::new(FOLDER).join(CONTENTS).join(digest_of_it);
        let path = self.base.join(&kept);
        match place(&self.base, &kept)?.look_own().map_err(at(&path))? {
            Some(Entry::File { bytes, .. }) if digest(&bytes) == digest_of_it => Ok(bytes),
            None => Err(at(&path)(io::ErrorKind::NotFound.into())),
            Some(_) => {
                let what = "it is not what was kept";
                Err(at(&path)(io::Error::new(io::ErrorKind::InvalidData, what)))
            }
        }
    }

    /// Removes the journal and all that it kept.
    ///
    /// # Errors
    /// What the system answers.
    pub(crate) fn remove(self) -> Result<(), JournalError> {
        let folder = Path::new(FOLDER);
        let contents = folder.join(CONTENTS);
        let kept = place(&self.base, &contents)?.names();
        for name in kept.map_err(at(&self.base.join(&contents)))? {
            self.remove_at(&contents.join(name))?;
        }
        for name in [CONTENTS, NAME, LOCK] {
            self.remove_at(&folder.join(name))?;
        }
        if self.header.made_folder {
            // Somebody else may have put something there.
            let _ = self.remove_at(folder);
        }
        Ok(())
    }

    fn remove_at(&self, path: &Path) -> Result<(), JournalError> {
        let removed = place(&self.base, path)?.remove();
        removed.map_err(at(&self.base.join(path)))
    }

    fn keep(&self, name: &str, content: &[u8]) -> Result<(), JournalError> {
        let folder = Path::new(FOLDER).join(CONTENTS);
        make_folder(&self.base, &folder)?;
        let place = place(&self.base, &folder.join(name))?;
        let kept = place.look_own().and_then(|there| match there {
            Some(_) => Ok(()),
            // A setup that was killed may have left it half written.
            None => place.clear().and_then(|()| place.put(own(content))),
        });
        kept.map_err(at(&self.base.join(folder).join(name)))
    }

    fn append(&mut self, line: &impl Serialize) -> Result<(), JournalError> {
        let path = self.base.join(FOLDER).join(NAME);
        let text = serde_json::to_string(line).map_err(|error| at(&path)(error.into()))?;
        let written = self
            .file
            .write_all(format!("{text}\n").as_bytes())
            .and_then(|()| self.file.sync_all());
        written.map_err(at(&path))
    }
}

/// Whether it had to be made.
fn make_folder(base: &Base, folder: &Path) -> Result<bool, JournalError> {
    let place = place(base, folder)?;
    let made = match place.look() {
        Ok(None) => place.make_directory(FOLDER_MODE).map(|()| true),
        there => there.map(|_| false),
    };
    match made {
        // Another denet made it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        made => made.map_err(at(&base.join(folder))),
    }
}

/// A file of the journal's, to write to.
fn private(base: &Base, name: &str) -> Result<File, JournalError> {
    let path = Path::new(FOLDER).join(name);
    let file = place(base, &path)?.open_private();
    file.map_err(at(&base.join(path)))
}

/// Takes the lock: on the file that has this name now, not on one that a rollback has just removed.
fn locked(base: &Base) -> Result<File, JournalError> {
    let path = base.join(FOLDER).join(LOCK);
    let lock = private(base, LOCK)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(JournalError::Busy),
        Err(std::fs::TryLockError::Error(error)) => return Err(at(&path)(error)),
    }
    let links = lock.metadata().map_err(at(&path))?.nlink();
    if links == 0 {
        Err(JournalError::Busy)
    } else {
        Ok(lock)
    }
}

/// Content that only we ourselves read.
fn own(bytes: &[u8]) -> Wanted<'_> {
    static NONE: Attributes = Attributes::new();
    Wanted {
        bytes,
        mode: 0o600,
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        attributes: &NONE,
    }
}

/// Changes in the order in which they first began.
#[derive(Debug, Default)]
struct Changes {
    all: Vec<Change>,
    index: BTreeMap<Target, usize>,
}

impl Changes {
    fn begun(&mut self, target: &Target, before: &State, wanted: &State) {
        let known = self.index.get(target).copied();
        if let Some(change) = known.and_then(|at| self.all.get_mut(at)) {
            change.wanted = wanted.clone();
            change.interrupted = true;
            return;
        }
        self.index.insert(target.clone(), self.all.len());
        self.all.push(Change {
            target: target.clone(),
            before: before.clone(),
            wanted: wanted.clone(),
            interrupted: true,
        });
    }

    fn done(&mut self, target: &Target) {
        let known = self.index.get(target).copied();
        if let Some(change) = known.and_then(|at| self.all.get_mut(at)) {
            change.interrupted = false;
        }
    }
}

struct Parsed {
    header: Header,
    changes: Changes,
    complete: bool,
    /// Bytes in complete lines.
    whole: usize,
}

/// `None` for an empty journal.
fn parse(path: &Path, text: &str) -> Result<Option<Parsed>, JournalError> {
    let damaged = |line| JournalError::Damaged {
        path: path.to_owned(),
        line,
    };
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let mut lines = text[..whole].lines().enumerate();
    let Some((_, first)) = lines.next() else {
        return Ok(None);
    };
    let value: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(first).map_err(|_| damaged(1))?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(found) if found > u64::from(SCHEMA) => {
            return Err(JournalError::Newer {
                path: path.to_owned(),
                found,
            });
        }
        _ => {}
    }
    let header: Header = serde_json::from_str(first).map_err(|_| damaged(1))?;
    if header.schema < SCHEMA {
        return Err(JournalError::Older {
            path: path.to_owned(),
            version: header.version,
        });
    }
    let mut changes = Changes::default();
    let mut complete = false;
    for (at, line) in lines {
        complete = false;
        match serde_json::from_str(line).map_err(|_| damaged(at + 1))? {
            Line::Begun {
                target,
                before,
                wanted,
            } => match refusal(&target, [&before, &wanted]) {
                None => changes.begun(&target, &before, &wanted),
                Some(what) => {
                    return Err(JournalError::Foreign {
                        path: path.to_owned(),
                        line: at + 1,
                        what,
                    });
                }
            },
            Line::Done { target } => changes.done(&target),
            Line::Complete => complete = true,
        }
    }
    Ok(Some(Parsed {
        header,
        changes,
        complete,
        whole,
    }))
}

#[cfg(test)]
mod tests;

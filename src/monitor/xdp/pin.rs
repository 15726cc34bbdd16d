//! Pins program, link and counters in a directory of a bpffs, so that they outlive denet.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::model::Removed;
use super::program::{COUNTERS, PROGRAMS, read};
use super::{StartError, abi};
use crate::bpf::pins::{self, ObjectKind, XdpLinkInfo};
use crate::bpf::{KernelError, kernel};
use crate::decode::uapi::maps::map_type;
use crate::decode::uapi::sections::ProgramKind;
use crate::facts::interfaces::Interface;
use crate::sys::account;
use crate::sys::mounts;
use crate::sys::root::Root;

/// Their names in the directory.
const LINK: &str = "link";
const PROGRAM: &str = "program";
const MAP: &str = "counters";
const NAMES: [&str; 3] = [LINK, PROGRAM, MAP];

/// The requested directory.
pub(super) enum Place {
    /// Nothing is pinned there.
    Free(Free),
    /// All three are pinned.
    Kept(Kept),
}

/// Where the three can be pinned.
pub(super) struct Free {
    at: PathBuf,
    exists: bool,
}

/// The three, opened; denet created them.
pub(super) struct Kept {
    pub(super) link: OwnedFd,
    pub(super) program: OwnedFd,
    pub(super) counters: OwnedFd,
    hangs: XdpLinkInfo,
}

/// Those of the three that are pinned.
#[derive(Default)]
struct Found {
    link: Option<(OwnedFd, XdpLinkInfo)>,
    program: Option<(OwnedFd, pins::ProgramInfo)>,
    counters: Option<(OwnedFd, u32)>,
}

impl Place {
    /// Examines the directory.
    pub(super) fn open(at: &Path) -> Result<Self, StartError> {
        let Some(found) = Found::open(at)? else {
            let at = at.to_owned();
            return Ok(Self::Free(Free { at, exists: false }));
        };
        match found {
            Found {
                link: Some((link, hangs)),
                program: Some((program, _)),
                counters: Some((counters, _)),
            } => Ok(Self::Kept(Kept {
                link,
                program,
                counters,
                hangs,
            })),
            Found {
                link: None,
                program: None,
                counters: None,
            } => {
                let at = at.to_owned();
                Ok(Self::Free(Free { at, exists: true }))
            }
            _ => Err(StartError::Failed(format!(
                "{} holds a part of what denet pins, and nothing is attached by it: --unpin removes it",
                at.display()
            ))),
        }
    }
}

impl Found {
    /// `None` if there is no such directory, but it can be created.
    fn open(at: &Path) -> Result<Option<Self>, StartError> {
        let failed = |error: io::Error| not_opened_at(at, &error);
        let root = Root::default();
        let entries = match root.read_dir(at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                in_bpffs(parent(at))?;
                return Ok(None);
            }
            entries => entries.map_err(failed)?,
        };
        in_bpffs(at)?;
        let is_foreign = |name: &&std::ffi::OsString| NAMES.iter().all(|own| ***name != **own);
        if let Some(name) = entries.iter().find(is_foreign) {
            return Err(StartError::Failed(format!(
                "{} holds something else: {}",
                at.display(),
                name.display()
            )));
        }
        let mut found = Self::default();
        for name in NAMES {
            if entries.iter().any(|entry| entry == name) {
                let path = at.join(name);
                let (kind, fd) = pins::open(&path).map_err(|error| not_opened(&error))?;
                found
                    .take(name, kind, fd)
                    .map_err(|error| StartError::Failed(format!("{}: {error}", path.display())))?;
            }
        }
        found.belongs_together(at)?;
        Ok(Some(found))
    }

    /// Refuses objects of others: users who may write to the directory can pin anything there.
    fn take(&mut self, name: &str, kind: ObjectKind, fd: OwnedFd) -> io::Result<()> {
        let foreign = || Err(io::Error::other("it is not what denet pins"));
        match (name, kind) {
            (LINK, ObjectKind::Link) => match pins::xdp_link(&fd)? {
                Some(info) => self.link = Some((fd, info)),
                None => return foreign(),
            },
            (PROGRAM, ObjectKind::Program) => {
                let info = pins::program(&fd)?;
                let is_xdp = ProgramKind::from_number(info.kind) == Some(ProgramKind::Xdp);
                if !is_xdp || !PROGRAMS.contains(&info.name.as_str()) {
                    return foreign();
                }
                self.program = Some((fd, info));
            }
            (MAP, ObjectKind::Map) => {
                let info = pins::map(&fd)?;
                let kind = map_type(info.kind).map(|kind| kind.name);
                let value = info.value_bytes as usize == size_of::<abi::Counts>();
                if kind != Some("percpu_array") || !value || info.max_entries != 1 {
                    return foreign();
                }
                if info.name != COUNTERS {
                    return Err(io::Error::other("counters of another version of denet"));
                }
                self.counters = Some((fd, info.id));
            }
            _ => return foreign(),
        }
        Ok(())
    }

    fn belongs_together(&self, at: &Path) -> Result<(), StartError> {
        let program = self.program.as_ref().map(|(_, info)| info);
        let link = self.link.as_ref().map(|(_, info)| info.program);
        let map = self.counters.as_ref().map(|(_, id)| *id);
        let fits = program.is_none_or(|program| {
            link.is_none_or(|link| link == program.id)
                && map.is_none_or(|map| program.maps.contains(&map))
        });
        if fits {
            return Ok(());
        }
        Err(StartError::Failed(format!(
            "{} holds things that do not belong together",
            at.display()
        )))
    }
}

impl Kept {
    /// Whether the program counts at this interface. Numbers of interfaces are unique only within a network namespace,
    /// so the program at the interface is compared.
    pub(super) fn counts_at(&self, interface: &Interface) -> Result<(), StartError> {
        if self.hangs.interface == 0 {
            return Err(StartError::Failed(
                "what is pinned there counts no more: its interface is gone, or somebody took the program \
                 off; --unpin removes it and tells its last counts"
                    .to_owned(),
            ));
        }
        is_at(self.hangs, interface)
    }
}

fn is_at(link: XdpLinkInfo, interface: &Interface) -> Result<(), StartError> {
    let programs = interface.xdp.known().map_or(&[][..], Vec::as_slice);
    let there = programs.iter().any(|it| it.program == link.program);
    if link.interface == interface.index && there {
        return Ok(());
    }
    Err(StartError::Failed(format!(
        "what is pinned there counts at another interface (number {}), not at {}",
        link.interface, interface.name
    )))
}

impl Free {
    /// Pins program and counters; they are removed again unless [`Pinning::done`] is called.
    pub(super) fn keep(
        self,
        program: BorrowedFd<'_>,
        counters: BorrowedFd<'_>,
    ) -> Result<Pinning, StartError> {
        let mut pinning = Pinning {
            at: self.at,
            made: false,
            names: Vec::new(),
        };
        if !self.exists {
            let made = std::fs::DirBuilder::new().mode(0o700).create(&pinning.at);
            made.map_err(|error| not_opened_at(&pinning.at, &error))?;
            pinning.made = true;
        }
        pinning.pin(MAP, counters)?;
        pinning.pin(PROGRAM, program)?;
        Ok(pinning)
    }
}

/// The pins so far, which are removed again unless all succeed.
pub(super) struct Pinning {
    at: PathBuf,
    made: bool,
    names: Vec<&'static str>,
}

impl Pinning {
    fn pin(&mut self, name: &'static str, object: BorrowedFd<'_>) -> Result<(), StartError> {
        pins::pin(object, &self.at.join(name)).map_err(|error| not_opened(&error))?;
        self.names.push(name);
        Ok(())
    }

    /// Pins the link, which keeps the program attached.
    pub(super) fn keep_link(&mut self, link: BorrowedFd<'_>) -> Result<(), StartError> {
        self.pin(LINK, link)
    }

    /// Keeps the pins.
    pub(super) fn done(mut self) {
        self.names.clear();
        self.made = false;
    }
}

impl Drop for Pinning {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = std::fs::remove_file(self.at.join(name));
        }
        if self.made {
            let _ = std::fs::remove_dir(&self.at);
        }
    }
}

/// Detaches the program and removes the pins; `interface` is the one with the requested name, if there is one.
pub(super) fn remove(at: &Path, interface: Option<&Interface>) -> Result<Removed, StartError> {
    let nothing = || StartError::Failed(format!("nothing is pinned in {}", at.display()));
    let found = Found::open(at)?.ok_or_else(nothing)?;
    let attached = found
        .link
        .as_ref()
        .filter(|(_, hangs)| hangs.interface != 0);
    if let Some((link, hangs)) = attached {
        let gone = || {
            let why = "it counts at an interface of another name: that one's name removes it";
            StartError::Failed(why.to_owned())
        };
        is_at(*hangs, interface.ok_or_else(gone)?)?;
        // Another denet may hold the link open.
        kernel::detach(link).map_err(|error| not_opened(&error))?;
        let _ = account::kernel_barrier();
    }
    let counters = found.counters.as_ref().map(|(fd, _)| fd);
    let counted = counters.map(read).transpose()?;
    let was_attached = attached.is_some();
    let names = [
        found.link.is_some(),
        found.program.is_some(),
        found.counters.is_some(),
    ];
    if names == [false; 3] {
        return Err(nothing());
    }
    let mut left = None;
    for (name, _) in NAMES.into_iter().zip(names).filter(|(_, there)| *there) {
        let path = at.join(name);
        if let Err(error) = std::fs::remove_file(&path) {
            left = Some(format!("{}: {error}", path.display()));
        }
    }
    // The directory may have existed before; and if denet may not create it, it may not remove it either.
    let _ = std::fs::remove_dir(at);
    Ok(Removed {
        counted,
        was_attached,
        left,
    })
}

fn parent(at: &Path) -> &Path {
    match at.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => at,
    }
}

fn in_bpffs(at: &Path) -> Result<(), StartError> {
    match mounts::is_bpffs(at) {
        Ok(true) => Ok(()),
        Ok(false) => Err(StartError::Failed(format!(
            "{} is in no bpffs, and only there can programs be kept: take a directory under /sys/fs/bpf \
             (mount -t bpf bpf /sys/fs/bpf mounts it)",
            at.display()
        ))),
        Err(error) => Err(StartError::Failed(format!("{}: {error}", at.display()))),
    }
}

/// bpffs reserves dots in names for future use (`bpf_lookup`, kernel/bpf/inode.c).
fn not_opened_at(at: &Path, error: &io::Error) -> StartError {
    let dotted = at
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().contains(&b'.'));
    let hint = match error.raw_os_error() {
        Some(libc::EPERM) if dotted => "; names in a bpffs have no dots",
        _ => "",
    };
    StartError::Failed(format!("{}: {error}{hint}", at.display()))
}

fn not_opened(error: &KernelError) -> StartError {
    StartError::Failed(error.to_string())
}

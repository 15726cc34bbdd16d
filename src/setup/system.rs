//! The system that is set up.

use std::io;
use std::path::Path;

use super::state::Target;
use crate::sys::place::{Base, Entry, Place};
use crate::sys::root::Root;

/// The system that is changed: this one, or an image below a directory.
#[derive(Clone, Debug)]
pub(crate) struct System {
    base: Base,
}

/// Why a target of a running system is left alone in an image.
pub(super) const NOT_OF_AN_IMAGE: &str = "it belongs to a running system, not to an image";

impl System {
    /// The system whose root is this directory. In an image, nothing is touched that is mounted below it, such
    /// as the host's `/dev`.
    ///
    /// # Errors
    /// As [`Base::open_image`].
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        let base = match root == Path::new("/") {
            true => Base::open(root),
            false => Base::open_image(root),
        };
        Ok(Self { base: base? })
    }

    /// It runs, so that what does not outlive a boot is changed as well.
    pub(crate) fn is_live(&self) -> bool {
        self.base.path() == Path::new("/")
    }

    /// The directory that it lies in, if it does not run.
    pub(crate) fn image(&self) -> Option<&Path> {
        (!self.is_live()).then_some(self.base.path())
    }

    /// What is typed for setup of it.
    pub(super) fn command(&self) -> String {
        super::command(self.image())
    }

    /// The directory from which its files are opened, including the journal.
    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    /// What facts are read from.
    pub(crate) fn tree(&self) -> Root {
        Root::new(self.base.path())
    }

    /// The place of a path, to look at.
    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        Place::open(&self.base, path)
    }

    /// The place of a path, to change.
    pub(super) fn trusted(&self, path: &Path) -> io::Result<Place> {
        Place::open_trusted(&self.base, path)
    }

    pub(super) fn look(&self, path: &Path) -> io::Result<Option<Entry>> {
        match self.place(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            place => place?.look(),
        }
    }

    /// The text of an account file, to look names and numbers up in; what is not UTF-8 is replaced. `None` if there
    /// is none.
    pub(super) fn text(&self, path: &str) -> io::Result<Option<String>> {
        match self.look(Path::new(path))? {
            None => Ok(None),
            Some(Entry::File { bytes, .. }) => {
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
            Some(_) => Err(invalid(format!("{path}: not a regular file"))),
        }
    }

    /// Whether it has such a target: an image has no running kernel.
    pub(super) fn has(&self, target: &Target) -> bool {
        self.is_live() || !target.is_of_running_system()
    }

    pub(super) fn must_have(&self, target: &Target) -> io::Result<()> {
        if self.has(target) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, NOT_OF_AN_IMAGE))
    }

    /// systemd reads changed units when it is told to. That it cannot be told is no failure: it reads them
    /// at the next boot.
    pub(super) fn reload_units<'a>(&self, mut changed: impl Iterator<Item = &'a Target>) {
        let of_systemd = |target: &Target| matches!(target, Target::Path(path) if path.starts_with("/etc/systemd"));
        if self.is_live() && Path::new("/run/systemd/system").exists() && changed.any(of_systemd) {
            let reload = std::process::Command::new("systemctl")
                .arg("daemon-reload")
                .env_clear()
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                .status();
            tracing::debug!(?reload, "systemctl daemon-reload");
        }
    }
}

pub(super) fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

//! denet on a terminal of its own.

use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};

use nix::pty::openpty;

use crate::support::{self, DENET};

/// denet on a terminal of its own; what is typed there goes to its process group.
pub struct Terminal {
    pub child: Child,
    keyboard: std::fs::File,
}

impl Terminal {
    pub fn run(arguments: &[&str]) -> Self {
        Self::start(arguments, || Ok(()))
    }

    /// `first` is done between fork and exec, and must be safe there.
    pub fn start(
        arguments: &[&str],
        first: impl Fn() -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let ends = openpty(None, None).expect("a pseudo-terminal");
        let mut command = Command::new(DENET);
        let (mark, value) = support::mark();
        command
            .args(arguments)
            .env(mark, value)
            .stdin(ends.slave.try_clone().expect("dup"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let become_leader = move || {
            first()?;
            nix::unistd::setsid()?;
            // SAFETY: descriptor 0 is the terminal; this session has none yet.
            if unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        };
        // SAFETY: system calls only.
        unsafe { command.pre_exec(become_leader) };
        let child = command.spawn().expect("denet starts");
        Self {
            child,
            keyboard: ends.master.into(),
        }
    }

    pub fn ctrl_c(&mut self) {
        self.keyboard
            .write_all(&[3])
            .expect("the terminal takes it");
    }

    pub fn end(mut self) -> (Option<i32>, Option<i32>, String) {
        let mut text = String::new();
        self.child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut text)
            .expect("UTF-8");
        let status = self.child.wait().expect("it ends");
        (status.code(), status.signal(), text)
    }
}

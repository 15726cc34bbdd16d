//! Starts a command stopped: forked, ready, waiting to be let go.
//!
//! From its release to its first instruction the command makes one system call, the `execve`. If
//! denet dies before, the gate sees the pipe close and ends without having run anything.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use super::inherited;

/// Done in the gate before it reports that it is ready; system calls only.
pub(crate) type Rehearsal<'a> = Box<dyn Fn() -> io::Result<()> + 'a>;

/// What is to be executed: everything `execve` needs, made before the fork.
#[derive(Debug)]
pub(crate) struct Execution {
    file: CString,
    argv: Strings,
    // Every shell runs a text that the kernel does not know as a program this way.
    script_argv: Option<Strings>,
    envp: Strings,
}

impl Execution {
    /// `file` run with `argv` (whose first element names the command) and `environment`
    /// (`NAME=value`).
    ///
    /// # Errors
    /// If a string holds a NUL byte.
    pub(crate) fn new(
        file: &Path,
        argv: &[OsString],
        environment: &[OsString],
    ) -> io::Result<Self> {
        let shell = [OsString::from("sh"), file.as_os_str().to_owned()];
        let script_argv: Vec<_> = shell.iter().chain(argv.iter().skip(1)).cloned().collect();
        let script_argv = is_text(file)
            .then(|| Strings::new(&script_argv))
            .transpose()?;
        let file = CString::new(file.as_os_str().as_bytes())?;
        Ok(Self {
            file,
            argv: Strings::new(argv)?,
            script_argv,
            envp: Strings::new(environment)?,
        })
    }

    /// Becomes the command; returns only if that failed. Async-signal-safe.
    fn exec(&self) -> i32 {
        let errno = exec(&self.file, &self.argv, &self.envp);
        match &self.script_argv {
            Some(argv) if errno == libc::ENOEXEC => exec(c"/bin/sh", argv, &self.envp),
            Some(_) | None => errno,
        }
    }
}

/// As bash decides it: no NUL byte in the first line.
fn is_text(file: &Path) -> bool {
    let mut start = [0; 128];
    let read = File::open(file).and_then(|mut file| file.read(&mut start));
    let line = read.map(|len| {
        start[..len]
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default()
    });
    line.is_ok_and(|line| !line.contains(&0))
}

/// A NULL-terminated array of C strings.
#[derive(Debug)]
struct Strings {
    pointers: Vec<*const libc::c_char>,
    _owned: Vec<CString>,
}

impl Strings {
    fn new(texts: &[OsString]) -> io::Result<Self> {
        let owned = texts
            .iter()
            .map(|text| CString::new(text.as_bytes()).map_err(io::Error::from))
            .collect::<io::Result<Vec<_>>>()?;
        let end = std::iter::once(std::ptr::null());
        let pointers = owned.iter().map(|text| text.as_ptr()).chain(end).collect();
        Ok(Self {
            pointers,
            _owned: owned,
        })
    }
}

fn exec(file: &CStr, argv: &Strings, envp: &Strings) -> i32 {
    // SAFETY: NULL-terminated arrays of strings that live as long as their Strings.
    unsafe {
        libc::execve(
            file.as_ptr(),
            argv.pointers.as_ptr(),
            envp.pointers.as_ptr(),
        )
    };
    nix::errno::Errno::last_raw()
}

/// Bytes that the gate reads after its release and before it becomes the command,
pub(crate) const READS: u64 = 1;
/// and those that it wrote before.
pub(crate) const WRITES: u64 = 4;

/// A command that waits to be let go. Dropped before that, it ends without having run.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Process id, in denet's pid namespace.
    pub(crate) pid: Pid,
    release: File,
    report: File,
}

/// The child could not become the command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GateError {
    /// No process could be made.
    #[error("cannot start a process: {0}")]
    Start(io::Error),
    /// The rehearsal failed in the child.
    #[error("the waiting command could not be prepared: {0}")]
    Rehearsal(io::Error),
    /// The gate ended before it was let go (a signal, most likely).
    #[error("ended before it was started")]
    Gone,
    /// `execve` failed.
    #[error("{0}")]
    Exec(io::Error),
}

impl Gate {
    /// Forks the gate and waits until it is ready. `mask` is the signal mask of the command.
    ///
    /// Must be called while this process has one thread: the child allocates nothing, but a lock
    /// held elsewhere would stay locked in it.
    ///
    /// # Errors
    /// [`GateError::Start`], [`GateError::Rehearsal`] or [`GateError::Gone`].
    pub(crate) fn new(
        execution: &Execution,
        mask: &SigSet,
        rehearsal: &Rehearsal<'_>,
    ) -> Result<Self, GateError> {
        let (wait, release) = pipe().map_err(GateError::Start)?;
        let (report, answer) = pipe().map_err(GateError::Start)?;
        // SAFETY: one thread; the child only makes system calls, until it executes or exits.
        match unsafe { fork() }.map_err(|errno| GateError::Start(errno.into()))? {
            ForkResult::Child => {
                drop((release, report));
                child(execution, mask, rehearsal, wait, answer)
            }
            ForkResult::Parent { child } => {
                drop((wait, answer));
                let mut gate = Self {
                    pid: child,
                    release,
                    report,
                };
                match gate.hear()? {
                    None => Ok(gate),
                    Some(error) => Err(GateError::Rehearsal(error)),
                }
            }
        }
    }

    /// Waits until the gate sleeps in its `read`: whatever it calls from then on is the command's.
    ///
    /// # Errors
    /// If its state cannot be read, or it does not come to rest within ten seconds.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
            // pid (comm) state: the name may hold anything, parentheses too. A gate that a signal
            // ended is at rest as well; its release tells.
            let state = stat
                .rsplit(") ")
                .next()
                .and_then(|rest| rest.chars().next());
            if matches!(state, Some('S' | 'Z' | 'X')) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        Err(io::Error::from_raw_os_error(libc::ETIMEDOUT))
    }

    /// Lets the command go and waits until its `execve` is done.
    ///
    /// # Errors
    /// [`GateError::Exec`] with the reason, or [`GateError::Gone`].
    pub(crate) fn release(mut self) -> Result<Pid, GateError> {
        if self.release.write_all(&[1]).is_err() {
            return Err(GateError::Gone);
        }
        match self.hear() {
            Ok(Some(error)) => Err(GateError::Exec(error)),
            // The descriptor closed on exec: the command runs.
            Ok(None) | Err(_) => Ok(self.pid),
        }
    }

    /// An errno of the child, or none for its word that all is well.
    fn hear(&mut self) -> Result<Option<io::Error>, GateError> {
        let mut errno = [0; 4];
        self.report
            .read_exact(&mut errno)
            .map_err(|_| GateError::Gone)?;
        Ok(match i32::from_ne_bytes(errno) {
            0 => None,
            errno => Some(io::Error::from_raw_os_error(errno)),
        })
    }
}

/// The child's part: allocates nothing, takes no lock.
fn child(
    execution: &Execution,
    mask: &SigSet,
    rehearsal: &Rehearsal<'_>,
    mut wait: File,
    mut answer: File,
) -> ! {
    let prepared = rehearsal();
    inherited::restore();
    let mask = sigprocmask(SigmaskHow::SIG_SETMASK, Some(mask), None).map_err(io::Error::from);
    let ready = prepared
        .and(mask)
        .map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0);
    let mut go = [0];
    if answer.write_all(&ready.to_ne_bytes()).is_ok() && matches!(wait.read(&mut go), Ok(1)) {
        let errno = execution.exec();
        let _ = answer.write_all(&errno.to_ne_bytes());
    }
    // SAFETY: ends the process at once, as a child of fork must.
    unsafe { libc::_exit(127) }
}

/// A close-on-exec pipe: read end, write end.
fn pipe() -> io::Result<(File, File)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((read.into(), write.into()))
}

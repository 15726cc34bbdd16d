//! What denet was started with and what changes before or after `main`: Rust's runtime ignores
//! SIGPIPE and opens `/dev/null` where a standard descriptor was closed, and a first thread makes
//! glibc take over two signals of its own; before 5.11 maps need a higher limit of locked memory. The
//! command must see none of it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use super::{account, limits};

/// SIGPIPE, SIGCHLD (ignored, the kernel would reap the command itself), SIGXFSZ (a file that may not
/// grow is an error like a full disk), and glibc's SIGCANCEL and SIGSETXID.
const CHANGED: [i32; 5] = [libc::SIGPIPE, libc::SIGCHLD, libc::SIGXFSZ, 32, 33];

// A bit for each standard descriptor that was closed, and for each signal of CHANGED ignored.
static CLOSED: AtomicU8 = AtomicU8::new(0);
static IGNORED: AtomicU8 = AtomicU8::new(0);
// What ran in this process before it executed denet, as cargo does, used so much CPU time.
static CPU_BEFORE_NS: AtomicU64 = AtomicU64::new(0);
// Soft and hard limit of locked memory.
static MEMLOCK: [AtomicU64; 2] = [const { AtomicU64::new(libc::RLIM_INFINITY) }; 2];

/// Runs before Rust's runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look;

extern "C" fn look() {
    for fd in 0..3 {
        // SAFETY: F_GETFD touches nothing.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
    for (at, signal) in CHANGED.into_iter().enumerate() {
        if is_ignored(signal) {
            IGNORED.fetch_or(1 << at, Ordering::Relaxed);
        }
    }
    CPU_BEFORE_NS.store(account::own_cpu().as_nanos() as u64, Ordering::Relaxed);
    disposition(libc::SIGXFSZ, Some(libc::SIG_IGN));
    if let Ok((soft, hard)) = limits::get() {
        MEMLOCK[0].store(soft, Ordering::Relaxed);
        MEMLOCK[1].store(hard, Ordering::Relaxed);
    }
}

/// The kernel's own `struct sigaction`.
#[repr(C)]
#[derive(Default)]
struct Disposition {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// Sets how a signal is handled, or only looks; past glibc, which denies access to its own signals.
fn disposition(signal: i32, new: Option<usize>) -> Option<usize> {
    let new = new.map(|handler| Disposition {
        handler,
        ..Disposition::default()
    });
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let mut old = Disposition::default();
    // SAFETY: two of the kernel's sigactions, live or null, and the size of its signal set.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            new,
            &mut old,
            size_of::<u64>(),
        )
    };
    (result == 0).then_some(old.handler)
}

/// Is this signal ignored?
pub(super) fn is_ignored(signal: i32) -> bool {
    disposition(signal, None) == Some(libc::SIG_IGN)
}

/// Lets the kernel tell of ended children, whatever this process was started with.
pub(super) fn accept_children() {
    disposition(libc::SIGCHLD, Some(libc::SIG_DFL));
}

/// CPU time of denet itself.
pub(crate) fn cpu_since() -> Duration {
    let before = Duration::from_nanos(CPU_BEFORE_NS.load(Ordering::Relaxed));
    account::own_cpu().saturating_sub(before)
}

/// Was this standard descriptor (0, 1 or 2) closed when denet was started?
pub(crate) fn was_closed(fd: i32) -> bool {
    // Names the static, so that the linker keeps it wherever this answer is used.
    let _ = std::hint::black_box(BEFORE_MAIN);
    (0..3).contains(&fd) && CLOSED.load(Ordering::Relaxed) & (1 << fd) != 0
}

/// Gives a child of fork what denet was given. Async-signal-safe.
pub(crate) fn restore() {
    for fd in 0..3 {
        if was_closed(fd) {
            // SAFETY: in the child, nothing uses the runtime's /dev/null there.
            unsafe { libc::close(fd) };
        }
    }
    let [soft, hard] = [0, 1].map(|at: usize| MEMLOCK[at].load(Ordering::Relaxed));
    limits::set(soft, hard);
    let ignored = IGNORED.load(Ordering::Relaxed);
    for (at, signal) in CHANGED.into_iter().enumerate() {
        let was_ignored = ignored & (1 << at) != 0;
        disposition(
            signal,
            Some(if was_ignored {
                libc::SIG_IGN
            } else {
                libc::SIG_DFL
            }),
        );
    }
}

//! What denet was started with and Rust's runtime changes before `main`: it ignores SIGPIPE and
//! opens `/dev/null` where a standard descriptor was closed. The command must see neither.

use std::sync::atomic::{AtomicU8, Ordering};

static CLOSED: AtomicU8 = AtomicU8::new(0);
static SIGPIPE_WAS_IGNORED: AtomicU8 = AtomicU8::new(0);

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
    // SAFETY: an all-zero sigaction is a valid place for the answer.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a query into a live sigaction.
    let known = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action) } == 0;
    if known && action.sa_sigaction == libc::SIG_IGN {
        SIGPIPE_WAS_IGNORED.store(1, Ordering::Relaxed);
    }
}

/// Was this standard descriptor (0, 1 or 2) closed when denet was started?
pub fn was_closed(fd: i32) -> bool {
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
    let pipe = if SIGPIPE_WAS_IGNORED.load(Ordering::Relaxed) == 1 {
        libc::SIG_IGN
    } else {
        libc::SIG_DFL
    };
    // SAFETY: sets a standard disposition.
    unsafe { libc::signal(libc::SIGPIPE, pipe) };
}

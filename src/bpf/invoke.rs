//! System calls made for their own sake.

use crate::decode::syscalls::harmless::Harmless;

/// Makes this call so many times, and no other.
pub(crate) fn repeat(call: &Harmless, times: u64) {
    let [a, b, c, d, e, f] = call.arguments();
    for _ in 0..times {
        // SAFETY: `Harmless` is made only of calls that change no memory of ours with these arguments.
        unsafe { libc::syscall(call.number().into(), a, b, c, d, e, f) };
    }
}

//! A program run by hand.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use aya_obj::generated::bpf_cmd;

use super::kernel::{bpf, zeroed};

/// Runs an XDP program so many times on a frame, in the calling thread; returns what it said last.
///
/// # Errors
/// EINVAL for a frame without a whole Ethernet header (`bpf_prog_test_run_xdp`, net/bpf/test_run.c).
pub(crate) fn xdp(program: BorrowedFd<'_>, frame: &[u8], times: u32) -> io::Result<u32> {
    let mut attr = zeroed();
    attr.test.prog_fd = program.as_raw_fd() as u32;
    attr.test.data_in = frame.as_ptr() as u64;
    attr.test.data_size_in = frame.len() as u32;
    attr.test.repeat = times;
    bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr)?;
    // SAFETY: the kernel filled in this variant.
    Ok(unsafe { attr.test.retval })
}

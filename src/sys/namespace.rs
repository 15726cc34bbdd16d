//! Namespaces of one's own.

use std::io;

use nix::sched::{CloneFlags, unshare};

/// Moves the calling thread, and no other, into a new network namespace; that is gone, with all that
/// is attached in it, when the thread has ended and nothing holds it any more.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN, EINVAL without CONFIG_NET_NS (`copy_net_ns`), ENOSPC where
/// `user.max_net_namespaces` are there.
pub fn enter_new_network() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWNET)?)
}

//! Calls on memory, and System V IPC.

use super::kind::Kind::*;
use super::kind::Returns::{Hex as Address, Int as Number};
use super::{Entry, entry};
use crate::decode::names::{files as names, ipc};

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("mmap", &[("addr", Pointer), ("length", Size), ("prot", WideFlags(&names::PROT)), ("flags", MapFlags), ("fd", NoFd), ("offset", Hex)], Address),
    entry("mmap2", &[("addr", Pointer), ("length", Size), ("prot", WideFlags(&names::PROT)), ("flags", MapFlags), ("fd", NoFd), ("pgoffset", Hex)], Address),
    entry("munmap", &[("addr", Pointer), ("length", Size)], Number),
    entry("mprotect", &[("addr", Pointer), ("len", Size), ("prot", WideFlags(&names::PROT))], Number),
    entry("pkey_mprotect", &[("addr", Pointer), ("len", Size), ("prot", WideFlags(&names::PROT)), ("pkey", Int)], Number),
    entry("pkey_alloc", &[("flags", Hex), ("access_rights", Hex)], Number),
    entry("pkey_free", &[("pkey", Int)], Number),
    entry("mremap", &[("old_address", Pointer), ("old_size", Size), ("new_size", Size), ("flags", WideFlags(&names::MREMAP)), ("new_address", NewAddress)], Address),
    entry("madvise", &[("addr", Pointer), ("length", Size), ("advice", Enum(&names::MADVISE))], Number),
    entry("msync", &[("addr", Pointer), ("length", Size), ("flags", Flags(&names::MSYNC))], Number),
    entry("mincore", &[("addr", Pointer), ("length", Size), ("vec", PointerOut)], Number),
    entry("mlock", &[("addr", Pointer), ("len", Size)], Number),
    entry("mlock2", &[("addr", Pointer), ("len", Size), ("flags", Flags(&names::MLOCK))], Number),
    entry("munlock", &[("addr", Pointer), ("len", Size)], Number),
    entry("mlockall", &[("flags", Flags(&names::MCL))], Number),
    entry("munlockall", &[], Number),
    entry("brk", &[("addr", Pointer)], Address),
    entry("shmget", &[("key", IpcKey), ("size", Size), ("shmflg", ShmFlags)], Number),
    entry("shmat", &[("shmid", Int), ("shmaddr", Pointer), ("shmflg", Flags(&ipc::SHMAT))], Address),
    entry("shmdt", &[("shmaddr", Pointer)], Number),
    entry("shmctl", &[("shmid", Int), ("op", Enum(&ipc::SHMCTL)), ("buf", Pointer)], Number),
    entry("semget", &[("key", IpcKey), ("nsems", Int), ("semflg", IpcFlags(&ipc::IPCGET))], Number),
    entry("semop", &[("semid", Int), ("sops", Sembufs(2)), ("nsops", Size)], Number),
    entry("msgget", &[("key", IpcKey), ("msgflg", IpcFlags(&ipc::IPCGET))], Number),
];

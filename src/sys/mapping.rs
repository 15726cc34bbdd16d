//! Memory shared with the kernel: arrays of plain structures behind a descriptor.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// A shared, writable mapping of `len` values of `T`; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping<T> {
    start: NonNull<u8>,
    len: usize,
    kind: PhantomData<T>,
}

impl<T: Copy> Mapping<T> {
    /// Maps `len` values from offset 0 of `fd`.
    ///
    /// # Errors
    /// What `mmap(2)` answers.
    pub(crate) fn new(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at a place of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len * size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at zero"))?;
        Ok(Self {
            start,
            len,
            kind: PhantomData,
        })
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Copies one value; the kernel may be changing it, word by word.
    pub(crate) fn read(&self, index: usize) -> T {
        // SAFETY: in bounds (checked), mapped for as long as self lives, T is plain data.
        unsafe { self.at(index).read_volatile() }
    }

    /// One 64-bit word of the mapping, `offset` bytes from its start.
    pub(crate) fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len * size_of::<T>());
        // SAFETY: in bounds and aligned (asserted; mappings are page-aligned), lives as long as self.
        unsafe { self.start.add(offset).cast::<AtomicU64>().as_ref() }
    }

    fn at(&self, index: usize) -> *mut T {
        assert!(index < self.len);
        // SAFETY: in bounds.
        unsafe { self.start.cast::<T>().add(index).as_ptr() }
    }
}

impl<T> Drop for Mapping<T> {
    fn drop(&mut self) {
        // SAFETY: exactly what mmap returned; nothing borrows it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len * size_of::<T>()) };
    }
}

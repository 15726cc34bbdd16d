//! Extended attributes.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The value of an extended attribute, `None` if the file has none of that name.
///
/// # Errors
/// What `getxattr(2)` answers, ENODATA excepted (a file system without attributes: ENOTSUP).
pub fn get(file: &Path, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let file = CString::new(file.as_os_str().as_bytes())?;
    let mut value = vec![0; 1024];
    // SAFETY: two C strings and a buffer with its length.
    let len = unsafe {
        libc::getxattr(
            file.as_ptr(),
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    match usize::try_from(len) {
        Ok(len) => {
            value.truncate(len);
            Ok(Some(value))
        }
        Err(_) => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENODATA) => Ok(None),
            error => Err(error),
        },
    }
}

/// Whether the file has an extended attribute of that name; `false` if its file system does not support them.
///
/// # Errors
/// What `getxattr(2)` answers, ENODATA and ENOTSUP excepted.
pub fn has(file: &Path, name: &CStr) -> io::Result<bool> {
    let file = CString::new(file.as_os_str().as_bytes())?;
    // SAFETY: two C strings, and no buffer: only the length is returned.
    let len = unsafe { libc::getxattr(file.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) };
    match io::Error::last_os_error() {
        _ if len >= 0 => Ok(true),
        error if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::ENOTSUP)) => Ok(false),
        error => Err(error),
    }
}

//! What a thread of another process waits in, and that process's memory, from `/proc`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::page;

/// What `/proc/PID/task/TID/syscall` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It does not wait: it has a CPU, or will get one.
    Not,
    /// It waits, but not in a call.
    Elsewhere,
    /// It waits in a call.
    InCall {
        /// The number, in the table of the entry through which it came.
        nr: i32,
        /// Registers.
        args: [u64; 6],
        /// The instruction behind the one that made the call.
        ip: u64,
    },
}

impl Waiting {
    /// What a thread waits in.
    ///
    /// # Errors
    /// EPERM if the caller may not trace the thread (`PTRACE_MODE_ATTACH`), ENOENT or ESRCH if there is no such
    /// thread.
    pub fn of(tgid: u32, tid: u32) -> io::Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{tgid}/task/{tid}/syscall"))?;
        Self::parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// `running`; or `-1 SP IP`; or the number, six arguments, SP and IP. All but the number are hexadecimal.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let nr = match words.next()? {
            "running" => return Some(Self::Not),
            number => number.parse::<i64>().ok()?,
        };
        if nr < 0 {
            return Some(Self::Elsewhere);
        }
        let mut next = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
        let mut args = [0; 6];
        for arg in &mut args {
            *arg = next()?;
        }
        let (_sp, ip) = (next()?, next()?);
        let nr = i32::try_from(nr).ok()?;
        Some(Self::InCall { nr, args, ip })
    }
}

/// In an entry of `/proc/PID/pagemap`: the page is in memory.
const PRESENT: u64 = 1 << 63;

/// The memory of a process. Only pages that are present are read: fetching others could take long, or wait for
/// another process (userfaultfd, FUSE).
pub struct Memory {
    bytes: File,
    pages: File,
    page_size: u64,
}

impl Memory {
    /// That of a thread's process. It stays the same memory if the process executes another program.
    ///
    /// # Errors
    /// EACCES if the caller may not trace the process; ENOENT, ESRCH.
    pub fn open(tgid: u32, tid: u32) -> io::Result<Self> {
        let folder = format!("/proc/{tgid}/task/{tid}");
        Ok(Self {
            bytes: File::open(format!("{folder}/mem"))?,
            pages: File::open(format!("{folder}/pagemap"))?,
            page_size: page::size()?,
        })
    }

    /// Reads up to the first page that is not present; returns how many bytes.
    pub fn read(&self, address: u64, to: &mut [u8]) -> usize {
        let mut done = 0;
        while done < to.len() {
            let Some(at) = address.checked_add(done as u64) else {
                break;
            };
            let in_page = (self.page_size - at % self.page_size) as usize;
            let part = in_page.min(to.len() - done);
            let is_read = self.is_present(at)
                && self
                    .bytes
                    .read_exact_at(&mut to[done..done + part], at)
                    .is_ok();
            if !is_read {
                break;
            }
            done += part;
        }
        done
    }

    fn is_present(&self, address: u64) -> bool {
        let mut entry = [0; 8];
        let place = address / self.page_size * entry.len() as u64;
        let is_read = self.pages.read_exact_at(&mut entry, place).is_ok();
        is_read && u64::from_ne_bytes(entry) & PRESENT != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_of_a_waiting_thread() {
        let of = Waiting::parse;
        assert_eq!(of("running\n"), Some(Waiting::Not));
        assert_eq!(of("-1 0x7ffe 0x7f12\n"), Some(Waiting::Elsewhere));
        let call = of("0 0x3 0x7ffe 0x64 0x0 0x0 0xffffffffffffffff 0x7ffd 0x7f12\n");
        let args = [3, 0x7ffe, 0x64, 0, 0, u64::MAX];
        let (nr, ip) = (0, 0x7f12);
        assert_eq!(call, Some(Waiting::InCall { nr, args, ip }));
        for wrong in ["", "read 0x3", "0 0x3\n", "0 3 4 5 6 7 8 9 a\n"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn memory_is_read_up_to_a_page_that_is_not_there() {
        let (pid, tid) = (std::process::id(), nix::unistd::gettid().as_raw() as u32);
        let memory = Memory::open(pid, tid).unwrap();
        let text = *b"as it is";
        let mut read = [0; 8];
        assert_eq!(memory.read(text.as_ptr() as u64, &mut read), 8);
        assert_eq!(read, text);
        assert_eq!(memory.read(8, &mut read), 0);
        assert_eq!(memory.read(u64::MAX - 2, &mut read), 0);
    }
}

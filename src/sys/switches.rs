//! When this thread left the CPU and came back: the kernel writes a record of each switch (`PERF_RECORD_SWITCH`, Linux
//! 4.3) into memory that is shared with it. Nothing is woken for that, and nothing but this thread is recorded.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::Ordering;

use super::mapping::Mapping;
use super::{counters, page};

/// `data_head` and `data_tail` of `struct perf_event_mmap_page`.
const HEAD: usize = 1024;
const TAIL: usize = 1032;
/// `enum perf_event_type`
const LOST: u32 = 2;
const SWITCH: u32 = 14;
/// Room for thousands of switches: on a busy machine a thread that works is preempted often.
const PAGES: usize = 16;
/// `PERF_RECORD_MISC_*`
const OUT: u16 = 1 << 13;
const PREEMPTED: u16 = 1 << 14;

/// The records, from now on.
#[derive(Debug)]
pub(crate) struct Switches {
    ring: Mapping<u64>,
    // Of 64-bit words: where data begins in the mapping, and how many there are.
    start: usize,
    words: u64,
    absences: Absences,
    _event: File,
}

impl Switches {
    /// Records the switches of the calling thread.
    ///
    /// # Errors
    /// EACCES: this user may open no perf events.
    pub(crate) fn record() -> io::Result<Self> {
        let event = counters::switches_of_this_thread()?;
        let start = page::size()? as usize / size_of::<u64>();
        let ring = Mapping::new(event.as_fd(), (1 + PAGES) * start)?;
        Ok(Self {
            ring,
            start,
            words: (PAGES * start) as u64,
            absences: Absences::default(),
            _event: event,
        })
    }

    /// How long this thread was off the CPU without having been preempted, each time that ended since this was called
    /// before, in nanoseconds. `None` if records were lost.
    pub(crate) fn take(&mut self) -> Option<Vec<u64>> {
        // Pairs with the kernel's barrier before it moves the head on.
        let head = self.ring.word(HEAD).load(Ordering::Acquire);
        let mut tail = self.ring.word(TAIL).load(Ordering::Relaxed);
        let mut whole = true;
        while tail < head {
            let header = self.word(tail).to_ne_bytes();
            let [a, b, c, d, misc @ .., _, _] = header;
            let size = u16::from_ne_bytes([header[6], header[7]]);
            let misc = u16::from_ne_bytes(misc);
            match u32::from_ne_bytes([a, b, c, d]) {
                SWITCH => self.absences.add(misc, self.word(tail + 8)),
                LOST => whole = false,
                // For example of the event itself, that it was throttled.
                _ => {}
            }
            // Records are whole words.
            tail += u64::from(size.max(8));
        }
        self.ring.word(TAIL).store(head, Ordering::Release);
        let taken = std::mem::take(&mut self.absences.ended);
        whole.then_some(taken)
    }

    fn word(&self, at: u64) -> u64 {
        self.ring.read(self.start + (at / 8 % self.words) as usize)
    }
}

/// From switches to absences. Pure.
#[derive(Debug, Default)]
struct Absences {
    left_ns: Option<u64>,
    ended: Vec<u64>,
}

impl Absences {
    fn add(&mut self, misc: u16, at_ns: u64) {
        if misc & OUT != 0 {
            self.left_ns = (misc & PREEMPTED == 0).then_some(at_ns);
        } else if let Some(left) = self.left_ns.take() {
            self.ended.push(at_ns.saturating_sub(left));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preemption_is_no_absence() {
        let mut absences = Absences::default();
        for (misc, at) in [
            (0, 5),
            (OUT, 10),
            (0, 30),
            (OUT | PREEMPTED, 40),
            (0, 50),
            (OUT, 60),
        ] {
            absences.add(misc, at);
        }
        assert_eq!(absences.ended, [20]);
        absences.add(0, 61);
        assert_eq!(absences.ended, [20, 1]);
    }

    #[test]
    fn waiting_for_a_child_is_an_absence() {
        let mut switches = match Switches::record() {
            Ok(switches) => switches,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                assert!(!nix::unistd::geteuid().is_root(), "{error}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        for children in [1, 3] {
            switches.take().expect("room for all");
            for _ in 0..children {
                let status = std::process::Command::new("true").status().unwrap();
                assert!(status.success());
            }
            let absences = switches.take().expect("room for all");
            assert!(absences.iter().all(|ns| *ns > 0), "{absences:?}");
        }
    }
}

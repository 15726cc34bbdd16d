//! Programs that tell of single calls, and who listens to them.

use std::ffi::CStr;
use std::time::Duration;

use aya::maps::MapData;

use super::hooking::Hooking;
use super::model::Losses;
use crate::bpf::KernelError;
use crate::bpf::abi::Task;
use crate::bpf::object::MapSetting;
use crate::decode::btf::Btf;

/// Values of an object's `const volatile`, by name.
pub(crate) type Constants = Vec<(&'static str, u32)>;

/// A program of a stream in each of its forms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamHook {
    /// Its name, where it is attached to a raw tracepoint, or by the kernel's types.
    pub(crate) raw: &'static str,
    /// Its name, where it is attached to a perf event.
    pub(crate) event: &'static str,
    /// The group of the event in tracefs.
    pub(crate) group: &'static str,
    pub(crate) tracepoint: &'static CStr,
    /// It has to see a task before those that follow forget it.
    pub(crate) before_following: bool,
}

/// A program at a function of the kernel's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FunctionHook {
    pub(crate) program: &'static str,
    pub(crate) function: &'static CStr,
    /// When it returns, rather than when it is called.
    pub(crate) returns: bool,
    /// Not every kernel has it: that of calls by 32-bit programs.
    pub(crate) may_lack: bool,
}

/// What to load.
pub(crate) struct Plan {
    pub(crate) object: &'static [u8],
    pub(crate) hooking: Hooking,
    /// In the order in which they are attached: those that see the end of calls come first.
    pub(crate) hooks: &'static [StreamHook],
    /// The same at functions; empty where that is not offered. Hooks at other tracepoints than those of
    /// calls stay as they are.
    pub(crate) functions: &'static [FunctionHook],
    pub(crate) constants: Constants,
    /// Further ones that follow from the kernel's types; none where it has no types.
    pub(crate) typed: fn(&Btf<'_>) -> Constants,
    /// Of the ring buffer: a power of two, and of pages.
    pub(crate) ring_bytes: u32,
    /// Threads at full speed, a power of two, where each takes more memory than others have.
    pub(crate) slots: Option<u32>,
    pub(crate) settings: Vec<MapSetting>,
    /// Births are told of as well, each before the child runs.
    pub(crate) births: bool,
}

/// Who listens.
pub(crate) trait Consumer {
    /// Everything is loaded: the maps that only this stream's programs know can be had by name.
    fn begin(&mut self, take: &mut dyn FnMut(&str) -> Option<MapData>) -> Result<(), KernelError>;
    /// Those are followed who did not begin as somebody's child meanwhile: told again with all who live
    /// where others join them.
    fn following(&mut self, _live: &[Task]) {}
    /// A record as the program wrote it, its head included.
    fn record(&mut self, bytes: &[u8]);
    /// A thread that was followed has ended.
    fn ended(&mut self, task: &Task);
    /// What waited has been handed over.
    fn drained(&mut self) {}
    /// Whoever was told is gone.
    fn is_unread(&self) -> bool;
    /// An interval is over.
    fn tick(&mut self, losses: &Losses);
    /// Nothing more comes. Those who are still followed are handed over.
    fn finish(&mut self, losses: &Losses, live: &[Task]);
}

/// A stream that is to be opened.
pub(crate) struct Stream {
    pub(crate) plan: Plan,
    pub(crate) consumer: Box<dyn Consumer>,
    /// Between two ticks: also what is in the ring buffer waits no longer than that.
    pub(crate) interval: Duration,
}

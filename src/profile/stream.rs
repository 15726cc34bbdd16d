//! Who listens to programs that report single calls.

use std::time::Duration;

use aya::maps::MapData;

use super::model::Losses;
use crate::backends::stream::Plan;
use crate::bpf::KernelError;
use crate::bpf::abi::Task;

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

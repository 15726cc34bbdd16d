//! A stream: eBPF programs that report single calls, and the consumer of their records.

use std::time::Duration;

use aya::maps::MapData;

use super::model::Losses;
use crate::backends::stream::Plan;
use crate::bpf::KernelError;
use crate::bpf::abi::Task;
use crate::process::in_call::InCall;

/// Receives the records of a stream.
pub(crate) trait Consumer {
    /// Everything is loaded; `take` returns maps that only the programs of this stream use, by name.
    fn begin(&mut self, take: &mut dyn FnMut(&str) -> Option<MapData>) -> Result<(), KernelError>;
    /// The followed tasks, except those that were forked by followed tasks meanwhile. Called again with all live
    /// tasks when others are added.
    fn following(&mut self, _live: &[Task]) {}
    /// A thread is in a call that began before it was followed. If the call returns, its record follows.
    fn in_progress(&mut self, _: &Task, _: &InCall) {}
    /// A record as the eBPF program wrote it, including its head.
    fn record(&mut self, bytes: &[u8]);
    /// A followed thread has ended.
    fn ended(&mut self, _task: &Task) {}
    /// All pending records have been passed on.
    fn drained(&mut self) {}
    /// Whether all readers have closed their pipes.
    fn is_unread(&self) -> bool;
    /// An interval is over.
    fn tick(&mut self, losses: &Losses);
    /// No more records follow; `live` are the tasks that are still followed.
    fn finish(&mut self, losses: &Losses, live: &[Task]);
}

/// A stream that is to be opened.
pub(crate) struct Stream {
    pub(crate) plan: Plan,
    pub(crate) consumer: Box<dyn Consumer>,
    /// Time between two ticks. Records in the ring buffer are not delayed longer than that.
    pub(crate) interval: Duration,
}

//! What is told of a look: who ended, and the tree of those that live.

use super::{Known, Sampler};
use crate::process::metrics;
use crate::process::model::{Aggregated, Exited, Member, Metrics, Tree};
use crate::process::stat::Stat;
use crate::process::sums::Busy;
use crate::sys::account::{self, Exit};
use crate::sys::clock;

impl Sampler {
    pub(super) fn notice_zombies(&mut self, ts_ms: u64) {
        let mut ended = Vec::new();
        for (pid, known) in &mut self.known {
            let stat = &known.look.raw.stat;
            // Of denet's own children the kernel tells denet in a moment, and more.
            if known.told || !stat.has_ended() || stat.parent == std::process::id() {
                continue;
            }
            known.told = true;
            // 0 also where it may not be read, which goes by the same rule as its I/O.
            let may = stat.exit_status != 0 || known.look.raw.io.is_some();
            let exit = may.then(|| account::exit_of(stat.exit_status));
            ended.push((*pid, stat.clone(), exit));
        }
        for (pid, stat, exit) in ended {
            self.notice_end(pid, &stat, exit, ts_ms);
        }
    }

    pub(super) fn notice_end(&mut self, pid: u32, stat: &Stat, exit: Option<Exit>, ts_ms: u64) {
        let mut exited = Exited {
            ts_ms,
            pid,
            command: stat.command.clone(),
            lifetime_ms: self.lifetime_ms(stat.start_ticks),
            ..Exited::default()
        };
        exited.set_exit(exit);
        self.ends.noticed(exited);
    }

    pub(super) fn lifetime_ms(&self, start_ticks: i64) -> Option<f64> {
        let since_boot = clock::since_boot_ns().ok()?;
        let lived_ns = since_boot - start_ticks * self.ticks_ns as i64;
        Some(lived_ns.max(0) as f64 / 1e6)
    }

    pub(super) fn tree(&mut self, ts_ms: u64) -> Tree {
        let outside = self.context.read();
        let since_boot = clock::since_boot_ns().ok();
        let of = |pid: u32, known: &Known| Member {
            pid,
            command: known.look.raw.stat.command.clone(),
            metrics: Metrics {
                mem_pss_kb: known.proportional_kb,
                ..metrics::of_process(
                    &known.look,
                    &known.baseline,
                    known.io,
                    known.usage,
                    since_boot,
                    self.ticks_ns,
                    self.page_kb,
                )
            },
            syscalls: None,
            threads: known.threads.shown(),
        };
        let root = self.options.root;
        let mut living: Vec<_> = self
            .known
            .iter()
            .filter(|(_, known)| !known.look.raw.stat.has_ended())
            .collect();
        living.sort_by_key(|(pid, known)| (known.look.raw.stat.start_ticks, **pid));
        let parent = living
            .iter()
            .find(|(pid, _)| Some(**pid) == root)
            .map(|(pid, known)| of(**pid, known));
        let children: Vec<_> = living
            .iter()
            .filter(|(pid, _)| Some(**pid) != root)
            .map(|(pid, known)| of(**pid, known))
            .collect();
        let io_refused = living
            .iter()
            .any(|(pid, known)| known.look.raw.io.is_none() && self.unread_io.contains_key(pid));
        let used = self.highest.beyond(self.baseline);
        let members = parent.iter().chain(&children);
        let mut metrics =
            metrics::of_all(members.map(|member| &member.metrics), &used, !io_refused);
        metrics.mem_pss_kb = self.proportional.now_kb;
        metrics.cpu_usage = self.usage;
        metrics.uptime_secs = parent
            .as_ref()
            .and_then(|parent| parent.metrics.uptime_secs);
        metrics.sys_net_rx_bytes = outside.sys_net_rx_bytes;
        metrics.sys_net_tx_bytes = outside.sys_net_tx_bytes;
        metrics.psi_mem = outside.psi_mem;
        metrics.perf = outside.perf;
        Tree {
            ts_ms,
            aggregated: Aggregated {
                metrics,
                process_count: living.len() as u64,
                ebpf: None,
            },
            parent,
            children,
        }
    }
}

pub(super) fn busy_of(pid: u32, known: &Known) -> Busy {
    Busy {
        pid,
        command: known.look.raw.stat.command.clone(),
        cpu_ns: known.look.cpu_ns.saturating_sub(known.baseline.cpu_ns),
        peak_resident_kb: known.peak_resident_kb,
        threads: known.threads.busiest(),
    }
}

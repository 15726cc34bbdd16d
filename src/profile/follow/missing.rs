//! Whether what was to be followed is followed: `/proc` lists the threads, independently of the walks over the kernel's
//! own list.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::super::StartError;
use super::{Follower, refused};
use crate::bpf::KernelError;
use crate::checks::findings;
use crate::process::discovery::{Discovery, all_processes};
use crate::process::source::threads;
use crate::process::stat::Stat;
use crate::process::target::{Selection, Target};
use crate::process::{cgroup, source};

/// What `/proc` shows of the processes that were to be followed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    /// Threads that may still make calls, by process.
    live: BTreeMap<u32, BTreeSet<u32>>,
    /// Processes that have begun to exit.
    exiting: BTreeSet<u32>,
}

impl Follower {
    /// Compares what is followed with `/proc`. What is missing is looked for once more, since it may have become a
    /// descendant meanwhile, and counted.
    ///
    /// # Errors
    /// The target lives, and nothing of it is followed.
    pub(super) fn check_followed(&mut self, target: &Target) -> Result<(), StartError> {
        let mut missing = self.missing(target).map_err(refused)?;
        if !missing.is_empty() {
            let again: Vec<u32> = missing.keys().copied().collect();
            self.follow_more(&again).map_err(refused)?;
            missing = self.missing(target).map_err(refused)?;
        }
        // Tasks for which there was no memory are not in the tables, and counted already.
        if self.tables.control().tasks_without_memory == 0 {
            self.unfollowed = missing.values().sum();
            tracing::debug!(?missing, "live threads that are not followed");
        }
        if self.tables.live() > 0 {
            return Ok(());
        }
        let listed = list(target);
        if listed.live.is_empty() && listed.exiting.is_empty() {
            // It has ended.
            return Ok(());
        }
        let is_exiting = listed.live.is_empty();
        let seen = listed.live.values().map(BTreeSet::len).sum();
        let finding = findings::not_followed(&words(target), is_exiting, seen);
        Err(StartError::Refused(Box::new(finding)))
    }

    /// Live threads that are not followed, by process.
    fn missing(&self, target: &Target) -> Result<BTreeMap<u32, u64>, KernelError> {
        let mut listed = list(target);
        let mut followed: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        self.tables.each_live(|task| {
            followed.entry(task.tgid).or_default().insert(task.tid);
        })?;
        // Some may have ended since.
        for (tgid, threads) in &mut listed.live {
            let known = followed.get(tgid);
            let is_known = |tid: &u32| known.is_some_and(|known| known.contains(tid));
            threads.retain(|tid| is_known(tid) || may_call(*tgid, *tid));
        }
        Ok(missing(&listed.live, &followed))
    }
}

/// Live threads that are not followed, by process: how many. A thread that executes a program takes over its leader's
/// id, and the tables know that only later: so threads of one process are compared by their number as well.
fn missing(
    live: &BTreeMap<u32, BTreeSet<u32>>,
    followed: &BTreeMap<u32, BTreeSet<u32>>,
) -> BTreeMap<u32, u64> {
    let none = BTreeSet::new();
    let of_process = |(tgid, threads): (&u32, &BTreeSet<u32>)| {
        let followed = followed.get(tgid).unwrap_or(&none);
        let missing = threads.difference(followed).count();
        let unlisted = followed.difference(threads).count();
        (*tgid, missing.saturating_sub(unlisted) as u64)
    };
    let missing = live.iter().map(of_process);
    missing.filter(|(_, count)| *count > 0).collect()
}

fn list(target: &Target) -> Listed {
    let own = std::process::id();
    let mut roots = match &target.selection {
        Selection::Process(pid) => vec![*pid],
        Selection::Cgroup(folder) => cgroup::members(folder).unwrap_or_default(),
        Selection::Machine => all().unwrap_or_default(),
        Selection::Command(_) => Vec::new(),
    };
    if target.descendants && matches!(target.selection, Selection::Process(_)) {
        roots.extend(Discovery::new(None).newcomers(&roots).unwrap_or_default());
    }
    let mut listed = Listed::default();
    for tgid in roots.into_iter().filter(|tgid| *tgid != own) {
        for tid in threads(tgid) {
            match stat_of(tgid, tid) {
                Some(stat) if stat.thread_has_ended() || stat.is_kernel_thread() => {}
                Some(stat) if stat.is_exiting() => {
                    listed.exiting.insert(tgid);
                }
                Some(_) => {
                    listed.live.entry(tgid).or_default().insert(tid);
                }
                None => {}
            }
        }
    }
    listed
}

fn all() -> io::Result<Vec<u32>> {
    Ok(all_processes()?.into_iter().map(|(pid, _)| pid).collect())
}

fn stat_of(tgid: u32, tid: u32) -> Option<Stat> {
    let stat = std::fs::read(format!("/proc/{tgid}/task/{tid}/stat"));
    Stat::parse(&stat.ok()?)
}

fn may_call(tgid: u32, tid: u32) -> bool {
    stat_of(tgid, tid).is_some_and(|stat| !stat.thread_has_ended() && !stat.is_exiting())
}

fn words(target: &Target) -> String {
    match &target.selection {
        Selection::Process(pid) => {
            let name = source::stat_of(*pid).map(|stat| stat.command);
            format!("process {pid} ({})", name.unwrap_or_default())
        }
        Selection::Cgroup(folder) => format!("the cgroup {}", folder.display()),
        Selection::Machine | Selection::Command(_) => "the whole machine".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(processes: &[(u32, &[u32])]) -> BTreeMap<u32, BTreeSet<u32>> {
        let process = |(tgid, threads): &(u32, &[u32])| (*tgid, threads.iter().copied().collect());
        processes.iter().map(process).collect()
    }

    #[test]
    fn threads_that_are_not_followed_are_counted() {
        let live = of(&[(10, &[10, 11]), (20, &[20]), (30, &[30])]);
        let followed = of(&[(10, &[10]), (20, &[20, 21])]);
        assert_eq!(
            missing(&live, &followed),
            BTreeMap::from([(10, 1), (30, 1)])
        );
        assert_eq!(missing(&live, &live), BTreeMap::new());
    }

    #[test]
    fn a_thread_that_takes_over_its_leaders_id_is_followed() {
        let (live, followed) = (of(&[(10, &[10])]), of(&[(10, &[11])]));
        assert_eq!(missing(&live, &followed), BTreeMap::new());
    }
}

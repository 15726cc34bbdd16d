//! Following processes that run already.

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;

use super::super::{Limits, StartError};
use super::took::Took;
use super::{Cost, Follower, SETTLED, Stream, refused};
use crate::backends::kernel::Running;
use crate::bpf::calibrate::Calibration;
use crate::bpf::{KernelError, kernel};
use crate::checks::findings;
use crate::process::accounts::Identity;
use crate::process::cgroup;
use crate::process::stat::Stat;
use crate::process::target::{Selection, Target};
use crate::profile::access::Access;
use crate::sys::{account, processes};

/// As many fit into the kernel's table of them, and more.
const WANTED_AT_ONCE: usize = 4096;

impl Follower {
    /// Follows processes that run already, with all their threads and descendants, from now on.
    pub(crate) fn attach_to(
        target: &Target,
        limits: &Limits,
        stream: Option<Stream>,
    ) -> Result<Self, StartError> {
        // Who runs already is found by the kernel's types alone.
        if !limits.btf.exists() {
            let finding = findings::kernel_without_btf(&limits.btf);
            return Err(StartError::Refused(Box::new(finding)));
        }
        let mut follower = Self::around_running(target, limits, stream).map_err(refused)?;
        follower.check_followed(target)?;
        follower.look_at_calls().map_err(refused)?;
        Ok(follower)
    }

    fn around_running(
        target: &Target,
        limits: &Limits,
        stream: Option<Stream>,
    ) -> Result<Self, KernelError> {
        let bare_ns = account::syscall_ns();
        let mut calibration = Calibration::start(&limits.btf)?;
        calibration.stand_in()?;
        let (layout, own, _) = calibration.finish(0)?;
        let running = Some(Running {
            all: target.selection == Selection::Machine,
            except: own.tgid,
        });
        let mut follower = Self::load(
            layout,
            calibration.take_refusal(),
            limits,
            (target, running),
            stream,
        )?;
        follower.attach()?;
        drop(calibration);
        if follower.stream.is_none() {
            // Where all are followed, somebody may have been born into our slot meanwhile: then the cost
            // stays unknown, and nothing else.
            match follower.counted_ns(own) {
                Ok(counted_ns) => {
                    let start = Took {
                        bare_ns,
                        counted_ns,
                    };
                    follower.cost = Some(Cost { own, start });
                }
                Err(error) => tracing::debug!(%error, "the cost of a call is not measured"),
            }
        }
        match &target.selection {
            Selection::Process(pid) => follower.follow_more(&[*pid])?,
            Selection::Cgroup(folder) => {
                follower.follow_more(&cgroup::members(folder).unwrap_or_default())?;
            }
            Selection::Machine | Selection::Command(_) => {
                follower.walk()?;
                follower.tell_who_is_followed()?;
            }
        }
        Ok(follower)
    }

    /// Follows those of these members of a cgroup that are not followed yet. They were not forked by members, so what
    /// they called since they joined it is not known.
    pub(crate) fn follow_joined(&mut self, members: &[u32]) -> Result<(), KernelError> {
        let is_live = |live: &[Identity], pid| live.binary_search_by_key(&pid, |it| it.0).is_ok();
        let before = self.live_processes();
        let mut joined = members.to_vec();
        joined.retain(|pid| !is_live(&before, *pid));
        if joined.is_empty() {
            return Ok(());
        }
        self.follow_more(&joined)?;
        let now = self.live_processes();
        self.unfollowed += joined.iter().filter(|pid| is_live(&now, **pid)).count() as u64;
        Ok(())
    }

    /// From now on, follows those of these processes that the user may observe as well.
    pub(crate) fn follow_more(&mut self, tgids: &[u32]) -> Result<(), KernelError> {
        let access = Access::of_user();
        for tgids in tgids.chunks(WANTED_AT_ONCE) {
            let reached = tgids.iter().copied().filter(|pid| access.reaches(*pid));
            let wanted: BTreeSet<u32> = reached.collect();
            self.tables.want(&wanted)?;
            let walked = self.walk();
            self.tables.want_no_longer(&wanted)?;
            walked?;
        }
        self.tell_who_is_followed()
    }

    pub(super) fn tell_who_is_followed(&mut self) -> Result<(), KernelError> {
        if let Some(listening) = &mut self.stream {
            let mut live = Vec::new();
            self.tables.each_live(|task| live.push(*task))?;
            listening.consumer.following(&live);
        }
        Ok(())
    }

    /// Walks over all tasks until a walk finds nobody new: whoever begins meanwhile was begun by
    /// somebody who is followed, or by somebody whom the next walk finds.
    fn walk(&mut self) -> Result<(), KernelError> {
        let Some(walk) = &self.walk else {
            return Ok(());
        };
        loop {
            let before = self.tables.control().tasks_walked;
            kernel::walk(walk.as_fd())?;
            let found = self.tables.control().tasks_walked - before;
            tracing::debug!(found, "walked over all tasks");
            if found == 0 {
                break;
            }
        }
        self.forget_ended()
    }

    /// Forgets tasks whose end was not reported.
    pub(crate) fn forget_the_dead(&mut self) {
        if let Err(error) = self.forget_ended() {
            tracing::debug!(%error, "tasks that may have ended are kept");
        }
    }

    /// Who ended between being looked at and being followed would stay for ever.
    fn forget_ended(&mut self) -> Result<(), KernelError> {
        let mut dead = Vec::new();
        self.tables.each_live(|task| {
            if !thread_lives(task.tgid, task.tid) {
                dead.push(*task);
            }
        })?;
        // Most have ended since, and are gone as they should be.
        dead.retain(|task| self.tables.again(task).is_some());
        if dead.is_empty() {
            return Ok(());
        }
        // A thread that executes a program takes over the leader's id, and tells of it only then.
        std::thread::sleep(SETTLED);
        for task in &dead {
            let now = self.tables.again(task);
            if now.is_some_and(|now| !thread_lives(now.tgid, now.tid)) {
                tracing::debug!(task.tid, "followed, but it had ended");
                self.tables.forget(task)?;
            }
        }
        Ok(())
    }
}

/// Where `/proc` does not say (it may hide the processes of others), the kernel is asked whether there is
/// such a thread.
fn thread_lives(tgid: u32, tid: u32) -> bool {
    match std::fs::read(format!("/proc/{tgid}/task/{tid}/stat")) {
        Ok(bytes) => Stat::parse(&bytes).is_none_or(|stat| !stat.thread_has_ended()),
        Err(_) => processes::thread_exists(tgid, tid),
    }
}

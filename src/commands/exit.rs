//! Exit codes; 0 is success. Where the command ran to its end, denet's is the command's own.

use crate::profile::model::{End, Run};
use crate::sys::account::Exit;

/// Wrong options or arguments.
pub const USAGE: u8 = 2;
/// eBPF was required and cannot be used; the command was not started.
pub(crate) const EBPF_UNAVAILABLE: u8 = 3;
/// Something was lost, and `--strict` makes that an error.
pub(crate) const LOST: u8 = 4;
/// `--duration` ended the command.
pub(crate) const TIMED_OUT: u8 = 124;
/// denet itself failed, or could not write all of its output.
pub(crate) const FAILED: u8 = 125;
/// The command was found but cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// The command was not found.
pub(crate) const NOT_FOUND: u8 = 127;

/// `denet setup`: something is in the way, does not hold any more, or does not work.
pub(crate) const NOT_AS_IT_SHOULD_BE: u8 = 1;

/// `ebpf_test`: a stage failed, and with it what eBPF was to do here.
pub(crate) const STAGE_FAILED: u8 = 1;
/// `ebpf_diag`: a goal that was asked for is blocked.
pub(crate) const GOAL_BLOCKED: u8 = 1;
/// `ebpf_diag`: a goal that was asked for is degraded, or could not be looked at.
pub(crate) const GOAL_DEGRADED: u8 = 2;
/// `ebpf_diag` and `ebpf_test`: wrong options or arguments (EX_USAGE of sysexits.h).
pub const TOOL_USAGE: u8 = 64;
/// `ebpf_diag` and `ebpf_test`: the tool itself failed, or could not write its output (EX_SOFTWARE).
pub(crate) const TOOL_FAILED: u8 = 70;

/// A process killed by signal N ends with this plus N, as shells say it.
const KILLED_BY: i32 = 128;

/// The code for a death by signal.
pub(crate) fn of_signal(signal: i32) -> u8 {
    (KILLED_BY + signal) as u8
}

/// The code for the end of a process.
pub(crate) fn of_process(exit: Exit) -> u8 {
    match exit {
        Exit::Code(code) => code as u8,
        Exit::Signal(signal) => of_signal(signal),
    }
}

/// The code for a run. How a process ends that denet did not start is not denet's own end.
pub(crate) fn of_run(run: &Run) -> u8 {
    match run.end {
        End::Command | End::Duration | End::Unread if run.attached => 0,
        // Whoever started the command learns how it ended.
        End::Command => run.exit.map_or(FAILED, of_process),
        End::Duration => TIMED_OUT,
        // The command is waited for all the same.
        End::Unread => FAILED,
        End::Interrupted(signal) => of_signal(signal),
    }
}

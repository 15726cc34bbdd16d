//! What is traced: the expressions of `-e`, as strace's users write them.
//!
//! | expression | keeps calls |
//! |---|---|
//! | `open,close`, `trace=open,close` | of these names |
//! | `%file`, `trace=%network,read` | of these groups and names |
//! | `!%memory`, `trace=!brk,mmap` | of all other names |
//! | `status=failed`, `status=successful`, `status=unfinished` | that ended so |
//! | `errno=ENOENT,EACCES` | that failed so |
//! | `path=/etc` | with a path argument that begins so |
//! | `duration>1ms` | that took longer (ns, us, ms, s) |
//!
//! Several expressions: what is asked of names, status, errno, path and duration must all hold. Of
//! one kind, any of it is enough; what `!` excludes is excluded whatever else is asked for.

mod classes;
mod error;
mod parse;

use std::collections::BTreeSet;

pub(crate) use classes::Class;
pub(crate) use error::FilterError;

use super::call::{Call, PieceData, When, is_error};
use super::table::{Entry, Kind};
use crate::decode::syscalls::{Abi, Table};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// With an error.
    Failed,
    /// Without one.
    Successful,
    /// Not at all.
    Unfinished,
}

/// What is kept. The default keeps all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Names that are kept; `None` keeps all.
    names: Option<BTreeSet<&'static str>>,
    /// Names that are not kept.
    without: BTreeSet<&'static str>,
    /// Ends that are kept; empty keeps all.
    pub(crate) statuses: BTreeSet<Status>,
    /// Errors that are kept, as positive numbers; empty keeps all.
    pub(crate) errnos: BTreeSet<i32>,
    /// Beginnings of paths; empty keeps all.
    pub(crate) paths: Vec<Vec<u8>>,
    /// Calls are kept that took longer; `None` keeps all.
    pub(crate) longer_than_ns: Option<u64>,
}

impl Filter {
    /// Reads expressions, in any order.
    ///
    /// # Errors
    /// What an expression says that is not understood, and where.
    pub(crate) fn parse<'a>(
        expressions: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        for expression in expressions {
            parse::expression(&mut filter, expression)?;
        }
        Ok(filter)
    }

    /// Whether calls of a number are kept, by their names. One that no table knows is kept where all are, or
    /// all but some.
    pub(crate) fn keeps_number(&self, abi: Abi, nr: i32) -> bool {
        if self.names.is_none() && self.without.is_empty() {
            return true;
        }
        match Table::of(abi).lookup(nr) {
            None => self.names.is_none(),
            Some((name, _)) => {
                let named = self.names.as_ref().is_none_or(|it| it.contains(name));
                named && !self.without.contains(name)
            }
        }
    }

    /// A call cannot be judged before it returns.
    pub(crate) fn asks_for_the_end(&self) -> bool {
        !self.statuses.is_empty() || !self.errnos.is_empty() || self.longer_than_ns.is_some()
    }

    /// Whether a call is kept. A path that could not be read is no path that begins as asked for.
    pub(crate) fn keeps(&self, call: &Call<'_>, duration_ns: Option<u64>) -> bool {
        self.keeps_number(call.abi, call.nr)
            && self.keeps_end(call.result, duration_ns)
            && self.keeps_path(call)
    }

    /// Whether a call that ended so is kept, its name and paths apart.
    pub(crate) fn keeps_end(&self, result: Option<i64>, duration_ns: Option<u64>) -> bool {
        let status = match result {
            None => Status::Unfinished,
            Some(result) if is_error(result) => Status::Failed,
            Some(_) => Status::Successful,
        };
        let errno = result
            .filter(|result| is_error(*result))
            .map(|result| -result as i32);
        (self.statuses.is_empty() || self.statuses.contains(&status))
            && (self.errnos.is_empty() || errno.is_some_and(|errno| self.errnos.contains(&errno)))
            && self
                .longer_than_ns
                .is_none_or(|least| duration_ns.is_some_and(|took| took > least))
    }

    /// Whether calls of a number can have a path that begins as asked for.
    pub(crate) fn may_keep_paths_of(&self, abi: Abi, nr: i32) -> bool {
        let is_path = |(_, kind): &(&str, Kind)| matches!(kind, Kind::Path);
        let has_path = || Entry::of(abi, nr).is_some_and(|it| it.arguments.iter().any(is_path));
        self.paths.is_empty() || has_path()
    }

    /// Whether one of its paths begins as asked for.
    pub(crate) fn keeps_path(&self, call: &Call<'_>) -> bool {
        if self.paths.is_empty() {
            return true;
        }
        let Some(entry) = Entry::of(call.abi, call.nr) else {
            return false;
        };
        let is_path =
            |at: u8| matches!(entry.arguments.get(usize::from(at)), Some((_, Kind::Path)));
        call.pieces.iter().any(|piece| match &piece.data {
            PieceData::Bytes { data, .. } if piece.when == When::Enter && is_path(piece.arg) => {
                self.paths.iter().any(|start| data.starts_with(start))
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests;

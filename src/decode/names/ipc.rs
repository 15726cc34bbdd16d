//! Of System V IPC.

use super::files::names;
use super::{Names, named};

names!(/** Flags of `shmget` but for the permissions. */ SHMGET, "":
    IPC_CREAT, IPC_EXCL, SHM_HUGETLB, SHM_NORESERVE);
names!(/** Flags of `semget` and `msgget` but for the permissions. */ IPCGET, "":
    IPC_CREAT, IPC_EXCL, IPC_NOWAIT);
names!(/** Flags of `shmat`. */ SHMAT, "SHM_???":
    SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC);
names!(/** Operations of `shmctl`. */ SHMCTL, "SHM_???":
    IPC_RMID, IPC_SET, IPC_STAT, IPC_INFO, SHM_LOCK, SHM_UNLOCK, SHM_STAT = 13, SHM_INFO = 14,
    SHM_STAT_ANY = 15);
names!(/** Flags of an operation on a semaphore. */ SEMOP, "SEM_???":
    SEM_UNDO = 0x1000, IPC_NOWAIT);

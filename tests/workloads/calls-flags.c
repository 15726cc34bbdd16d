/* Calls that fail, with all flags and all constants. */
#include <time.h>
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/mount.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
int main(){
 syscall(SYS_openat,-100,0,0x7fffffff);
 syscall(SYS_openat,-100,0,3);
 syscall(SYS_clone,0xffffff00ffffff00,0,0,0,0);
 syscall(SYS_mmap,0,0,0xffffffff,0xffffffff,-1,0);
 syscall(SYS_mmap,0,0,0xffffffff,2,-1,0);
 syscall(SYS_mprotect,1,0,0xffffffff);
 syscall(SYS_socket,1,0xffffffff,0);
 syscall(SYS_recvfrom,-1,0,0,0xffffffff,0,0);
 syscall(SYS_umount2,0,0xffffffff);
 syscall(SYS_wait4,-1,0,0xffffffff,0);
 syscall(SYS_newfstatat,-1,0,0,0xffffffff);
 syscall(SYS_newfstatat,-1,0,0,0x800);
 syscall(SYS_statx,-1,0,0xffffffff,0xffffffff,0);
 syscall(SYS_faccessat2,-1,0,0xffffffff,0xffffffff);
 syscall(SYS_access,0,0xff);
 syscall(SYS_access,0,0);
 syscall(SYS_linkat,-1,0,-1,0,0xffffffff);
 syscall(SYS_renameat2,-1,0,-1,0,0xffffffff);
 syscall(SYS_unlinkat,-1,0,0xffffffff);
 syscall(SYS_pipe2,0,0xffffffff);
 syscall(SYS_eventfd2,0,0xffffffff);
 syscall(SYS_epoll_create1,0xffffffff);
 syscall(SYS_signalfd4,-1,0,8,0xffffffff);
 syscall(SYS_timerfd_create,0,0xffffffff);
 syscall(SYS_timerfd_create,99,0xffffffff);
 syscall(SYS_timerfd_settime,-1,0xffffffff,0,0);
 syscall(SYS_memfd_create,0,0xffffffe7);
 syscall(SYS_inotify_init1,0xffffffff);
 syscall(SYS_inotify_add_watch,-1,0,0xffffffff);
 syscall(SYS_msync,0,0,0xffffffff);
 syscall(SYS_mlockall,0xffffffff);
 syscall(SYS_mlock2,0,0,0xffffffff);
 syscall(SYS_mremap,0,0,0,0xffffffff,0);
 syscall(SYS_mremap,0,0,0,1,0);
 syscall(SYS_getrandom,0,0,0xffffffff);
 syscall(SYS_flock,-1,0xffffffff);
 syscall(SYS_fallocate,-1,0xffffffff,0,0);
 syscall(SYS_futex,0,0xffffffff,0,0,0,0);
 syscall(SYS_accept4,-1,0,0,0xffffffff);
 syscall(SYS_sync_file_range,-1,0,0,0xffffffff);
 syscall(SYS_clock_nanosleep,0,0xffffffff,0,0);
 syscall(SYS_close_range,-1,0,0xffffffff);
 syscall(SYS_preadv2,-1,0,0,0,0,0xffffffff);
 syscall(SYS_dup3,-1,-1,0xffffffff);
 syscall(SYS_fcntl,-1,4,0xffffffff);
 syscall(SYS_fcntl,-1,2,0xffffffff);
 syscall(SYS_fcntl,-1,1033,0xffffffff);
 syscall(SYS_madvise,0,0,99); 
 syscall(SYS_setns,-1,0xffffffff);
 syscall(SYS_pidfd_open,-1,0xffffff7f);
 syscall(SYS_waitid,0,-1,0,0xffffffff,0);
 syscall(SYS_setxattr,0,0,0,0,0xffffffff);
 syscall(SYS_seccomp,1,0xffffffff,0);
 syscall(SYS_tgkill,-1,0,33);
 syscall(SYS_lseek,-1,-5,9);
 syscall(SYS_ioctl,-1,0x5413,0);
 syscall(SYS_ioctl,-1,0x12345678,0);
 syscall(SYS_socket,1234,0,77);
 syscall(SYS_socket,2,3,6);
 syscall(SYS_socket,2,0x80003,255);
 syscall(SYS_socket,16,3,9);
 syscall(SYS_socket,17,3,0x300);
 syscall(SYS_openat2,-100,0,0,0);
 syscall(SYS_mknodat,-100,0,0xffff,0x0103);
 syscall(SYS_mknodat,-100,0,020644,0x0103);
 syscall(SYS_fchmodat,-100,0,07777);
 syscall(SYS_chmod,0,0170777);
 syscall(SYS_chown,0,-1,5);
 syscall(SYS_move_mount,-1,0,-1,0,0xffffffff);
 syscall(SYS_open_tree,-1,0,0xffffffff);
 syscall(SYS_fsopen,0,0xffffffff);
 syscall(SYS_fsmount,-1,0xffffffff,0xffffffff);
 syscall(SYS_fanotify_init,0xffffffff,0);
 syscall(SYS_membarrier,0xfffff,0xffffffff,0);
 syscall(SYS_sched_setscheduler,0,0x4000000f,0);
 syscall(SYS_bpf,99,0,0); syscall(SYS_perf_event_open,0,0,0,-1,0xffffffff);
 syscall(SYS_getrlimit,99,0);syscall(SYS_prlimit64,0,7,0,0);
 syscall(SYS_setitimer,9,0,0);syscall(SYS_getrusage,-2,0);
 syscall(SYS_shutdown,-1,7);
 syscall(SYS_getsockopt,-1,1,99,0,0);
 syscall(SYS_setsockopt,-1,6,99,0,0);
 syscall(SYS_setsockopt,-1,999,99,0,0);
 syscall(SYS_fadvise64,-1,0,0,99);

 syscall(SYS_getpid);
 syscall(SYS_mount,0,0,0,0xffffffff,0); syscall(SYS_unshare,0xffffffff); syscall(SYS_shmget,0,0,0xffffffff);
 syscall(SYS_shmat,-1,0,0xffffffff); syscall(SYS_userfaultfd,0xffffffff); syscall(SYS_io_uring_enter,-1,1,1,0xffffffff,0,0);
 syscall(SYS_execveat,-100,0,0,0,0xffffffff); syscall(SYS_name_to_handle_at,-1,0,0,0,0xffffffff); syscall(SYS_copy_file_range,-1,0,-1,0,0,0xffffffff);
 syscall(SYS_kill,99999,99); syscall(SYS_kill,99999,64); syscall(SYS_kill,99999,32); syscall(SYS_kill,99999,33); syscall(SYS_rt_sigprocmask,7,0,0,8); syscall(SYS_rt_sigaction,1,0,0,8);
 syscall(SYS_clone,0xffffff00ffffff99,0,0,0,0); syscall(SYS_clone,0x80000000,0,0,0,0);
 static int how[50]; how[0]=-1; for (int i=0;i<48;i++) syscall(SYS_setsockopt,-1,1,i,0,0);
 for (int i=0;i<45;i++) syscall(SYS_setsockopt,-1,6,i,0,0);
 for (int i=0;i<50;i++) syscall(SYS_setsockopt,-1,0,i,0,0);
 for (int i=0;i<80;i++) syscall(SYS_setsockopt,-1,41,i,0,0);
 for (int i=0;i<46;i++) if (i!=3&&i!=23&&i!=29&&i!=31&&i!=33&&i!=34&&i!=35&&i!=37&&i!=39&&i!=41&&i!=43) { syscall(SYS_socket,i,5,0); syscall(SYS_bind,-1,0,0); }
 for (int i=0;i<26;i++) syscall(SYS_socket,16,5,i);
 for (int i=0;i<256;i+=1) syscall(SYS_socket,2,5,i);
 for (int i=0;i<12;i++) syscall(SYS_fcntl,-1,i,0); syscall(SYS_fcntl,-1,15,0); syscall(SYS_fcntl,-1,16,0); for (int i=1030;i<1035;i++) syscall(SYS_fcntl,-1,i,0);
 for (int i=0;i<104;i++) syscall(SYS_madvise,1,0,i);
 for (int i=0;i<20;i++) { syscall(SYS_getrlimit,i,0); syscall(SYS_clock_getres,i,0); if (i<7) syscall(SYS_sched_get_priority_max,i); if (i!=2) syscall(SYS_futex,0,i|128,1,0,0,0); syscall(SYS_lseek,-1,0,i); syscall(SYS_getitimer,i,0); }
 for (int i=3;i<70;i++) if (i!=4&&i!=8&&i!=14&&i!=22&&i!=24&&i!=26&&i!=28&&i!=29&&i!=35&&i!=36&&i!=38&&i!=41&&i!=45) syscall(SYS_prctl,i+1000,0,0,0,0);
 for (int i=5;i<26;i++) syscall(SYS_ioctl,-1,0x5400+i,0); syscall(SYS_ioctl,-1,0x541b,0); syscall(SYS_ioctl,-1,0x5421,0); syscall(SYS_ioctl,-1,0x5422,0); syscall(SYS_ioctl,-1,0x5451,0);
 for (int i=0;i<36;i++) syscall(SYS_bpf,i,0,0);
 for (int i=0;i<40;i++) syscall(SYS_tkill,99999,i);
 for (int i=0;i<6;i++) { syscall(SYS_waitid,i,-1,0,0,0); syscall(SYS_shutdown,-1,i); syscall(SYS_getpriority,i,-1); syscall(SYS_fadvise64,-1,0,0,i); syscall(SYS_epoll_ctl,-1,i,-1,0); }
}

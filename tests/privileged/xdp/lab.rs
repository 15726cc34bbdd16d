//! A network of one's own: two ends of a cable, a bpffs, the counters of the kernel.
#![expect(
    unsafe_code,
    reason = "namespaces, netlink and packet sockets have no safe call here"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use denet::sys::{namespace, netlink};
use nix::mount::{MsFlags, mount};
use serde_json::Value;

use crate::support::wait::{wait_for, wait_until};
use crate::support::{DENET, Scratch, output};

/// Frames are sent into this end and arrive at the other.
pub const NEAR: &str = "va";
pub const FAR: &str = "vb";

pub struct Lab<'s> {
    scratch: &'s Scratch,
}

/// Runs a test in a network and with mounts that end with it.
pub fn within<T: Send>(test: impl FnOnce(&Lab) -> T + Send) -> T {
    // Mount points can be removed only in a namespace without the mounts.
    let scratch = Scratch::new();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| test(&Lab::new(&scratch)));
        match run.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

impl<'s> Lab<'s> {
    fn new(scratch: &'s Scratch) -> Self {
        namespace::enter_new_network().expect("CLONE_NEWNET");
        // SAFETY: takes one integer.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .expect("private mounts");
        let lab = Self { scratch };
        for (kind, name) in [("bpf", "bpf"), ("sysfs", "sys")] {
            fs::create_dir(lab.path(name)).expect("our own folder");
            let at = lab.path(name);
            mount(Some(kind), &at, Some(kind), MsFlags::empty(), none).expect(kind);
        }
        // The kernel would announce itself, and be counted.
        let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        lab.cable(NEAR, FAR);
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// A file in the bpffs.
    pub fn pinned(&self, name: &str) -> PathBuf {
        self.path("bpf").join(name)
    }

    pub fn scratch(&self) -> &Scratch {
        self.scratch
    }

    /// A pair of interfaces that are up.
    pub fn cable(&self, near: &str, far: &str) {
        let peer = [&[0; 16][..], &attribute(IFLA_IFNAME, &nul(far))].concat();
        let data = attribute(VETH_INFO_PEER, &peer);
        let info = [
            attribute(IFLA_INFO_KIND, b"veth\0"),
            attribute(IFLA_INFO_DATA, &data),
        ];
        let wanted = [
            vec![0; 16],
            attribute(IFLA_IFNAME, &nul(near)),
            attribute(IFLA_LINKINFO, &info.concat()),
        ];
        request(RTM_NEWLINK, CREATE, &wanted.concat());
        for name in [near, far] {
            netlink::raise(self.index(name)).expect("up");
        }
        for name in [near, far] {
            self.wait_until_up(name);
        }
    }

    /// The first end has a carrier only once the second is up, and until the kernel has come to notice, it drops
    /// what is sent and says nothing (`linkwatch_do_dev`, net/core/link_watch.c).
    fn wait_until_up(&self, name: &str) {
        let state = || fs::read_to_string(self.of_interface(name, "operstate")).expect("a state");
        wait_until("the interface is up", || state().trim() == "up");
        // Told before its queue is there, but under the lock that this change takes.
        netlink::raise(self.index(name)).expect("up");
    }

    /// Takes an interface away, and with it the other end.
    pub fn cut(&self, name: &str) {
        let mut wanted = [0; 16];
        wanted[4..8].copy_from_slice(&self.index(name).to_ne_bytes());
        request(RTM_DELLINK, 0, &wanted);
    }

    pub fn index(&self, name: &str) -> u32 {
        let text = fs::read_to_string(self.of_interface(name, "ifindex"));
        text.expect("an interface")
            .trim()
            .parse()
            .expect("a number")
    }

    fn of_interface(&self, name: &str, file: &str) -> PathBuf {
        self.path("sys").join("class/net").join(name).join(file)
    }

    /// What the kernel counted, as `ip -s link` shows it.
    pub fn statistics(&self, name: &str) -> (u64, u64) {
        let of = |file: &str| {
            let path = self.of_interface(name, "statistics").join(file);
            let text = fs::read_to_string(path).expect("statistics");
            text.trim().parse().expect("a number")
        };
        (of("rx_packets"), of("rx_bytes"))
    }

    /// Sends frames as they are, one after the other.
    pub fn send<'a>(&self, name: &str, frames: impl IntoIterator<Item = &'a [u8]>) {
        // SAFETY: takes three integers.
        let socket =
            unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(socket >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: integers all.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = self.index(name) as i32;
        for frame in frames {
            // SAFETY: live bytes and address, with their lengths.
            let sent = unsafe {
                libc::sendto(
                    socket,
                    frame.as_ptr().cast(),
                    frame.len(),
                    0,
                    std::ptr::from_ref(&to).cast(),
                    size_of_val(&to) as u32,
                )
            };
            let error = std::io::Error::last_os_error();
            assert_eq!(sent, frame.len() as isize, "{error}");
        }
        // SAFETY: our own descriptor, used no more.
        unsafe { libc::close(socket) };
    }

    /// A monitor that has attached.
    pub fn monitor(&self, arguments: &[&str]) -> Monitor {
        self.monitor_by(Command::new(DENET), arguments)
    }

    pub fn monitor_by(&self, mut command: Command, arguments: &[&str]) -> Monitor {
        command
            .args(["--json", "--interval", "50", "monitor", "xdp"])
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("denet starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let first = Value::Null;
        let mut monitor = Monitor { child, out, first };
        let first = monitor.next();
        assert_eq!(first["kind"], "metadata", "{first}");
        assert_eq!(
            (&first["schema"], &first["monitor"]),
            (&1.into(), &"xdp".into())
        );
        monitor.first = first;
        monitor
    }

    /// What must not attach, to its end.
    pub fn refused(&self, command: Command, arguments: &[&str]) -> Output {
        let mut command = command;
        command.args(["--duration", "5", "monitor", "xdp"]);
        output(command.args(arguments).env_remove("RUST_LOG"))
    }

    /// Lets the kernel of the near end put a tag beside each frame; what is sent on this interface then has
    /// one.
    pub fn tagging(&self, id: u16) -> (&'static str, Option<OwnedFd>) {
        let data = attribute(IFLA_VLAN_ID, &id.to_ne_bytes());
        let info = [
            attribute(IFLA_INFO_KIND, b"vlan\0"),
            attribute(IFLA_INFO_DATA, &data),
        ];
        let wanted = [
            vec![0; 16],
            attribute(IFLA_IFNAME, &nul("tagged")),
            attribute(IFLA_LINK, &self.index(NEAR).to_ne_bytes()),
            attribute(IFLA_LINKINFO, &info.concat()),
        ];
        match answer(RTM_NEWLINK, CREATE, &wanted.concat()) {
            0 => {
                netlink::raise(self.index("tagged")).expect("up");
                ("tagged", None)
            }
            // A kernel without 802.1Q: a program does what that would.
            _ => (NEAR, Some(push_tags(self.index(NEAR), id))),
        }
    }

    /// All that arrives from now on.
    pub fn capture(&self, name: &str) -> OwnedFd {
        let everything = i32::from((libc::ETH_P_ALL as u16).to_be());
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: integers all.
        let mut at: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        at.sll_family = libc::AF_PACKET as u16;
        at.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        at.sll_ifindex = self.index(name) as i32;
        // SAFETY: takes three integers; a new descriptor; a live address and its length.
        unsafe {
            let socket = OwnedFd::from_raw_fd(libc::socket(libc::AF_PACKET, kind, everything));
            let address = std::ptr::from_ref(&at).cast();
            let bound = libc::bind(socket.as_raw_fd(), address, size_of_val(&at) as u32);
            assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
            // A frame from a driver that runs programs takes a page.
            let room: i32 = 8 << 20;
            set_option(&socket, libc::SO_RCVBUFFORCE, &room);
            socket
        }
    }
}

/// denet, at work.
pub struct Monitor {
    child: Child,
    out: BufReader<ChildStdout>,
    /// The metadata.
    pub first: Value,
}

impl Monitor {
    pub fn next(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("readable");
        let record = serde_json::from_str(&line);
        assert!(
            record.is_ok(),
            "{record:?}: {line:?}: {}",
            self.complaints()
        );
        record.unwrap_or_default()
    }

    /// What it said before it ended.
    fn complaints(&mut self) -> String {
        let mut text = String::new();
        let _ = self
            .child
            .stderr
            .take()
            .map(|mut from| from.read_to_string(&mut text));
        text
    }

    /// Until so many frames are told of.
    pub fn until(&mut self, frames: u64) -> Value {
        wait_for("all frames are counted", || {
            let record = self.next();
            assert_eq!(record["kind"], "xdp", "{record}");
            let seen = record["frames"]["packets"].as_u64().expect("a count");
            assert!(seen <= frames, "{record}");
            (seen == frames).then_some(record)
        })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, signal).expect("it lives");
    }

    /// Ctrl-C; the summary and the exit code.
    pub fn interrupt(self) -> (Value, Option<i32>) {
        self.signal(nix::sys::signal::Signal::SIGINT);
        self.end()
    }

    /// The summary and the exit code, once it ends.
    pub fn end(mut self) -> (Value, Option<i32>) {
        let summary = loop {
            let record = self.next();
            if record["kind"] != "xdp" {
                break record;
            }
        };
        assert_eq!(summary["kind"], "summary", "{summary}");
        let mut rest = String::new();
        self.out.read_line(&mut rest).expect("readable");
        assert_eq!(rest, "", "the summary is the last record");
        (summary, self.child.wait().expect("it ends").code())
    }

    /// Reads no more; the exit code.
    pub fn left_alone(self) -> Option<i32> {
        let Self { mut child, out, .. } = self;
        drop(out);
        let status = wait_for("it ends", || child.try_wait().expect("ours"));
        status.code()
    }

    pub fn killed(mut self) {
        self.signal(nix::sys::signal::Signal::SIGKILL);
        self.child.wait().expect("it ends");
    }
}

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const REQUEST_ACK: u16 = 1 | 4;
const CREATE: u16 = 0x200 | 0x400;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_LINK: u16 = 5;
const IFLA_VLAN_ID: u16 = 1;

fn nul(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Asks the kernel for a change, which must succeed.
fn request(kind: u16, flags: u16, body: &[u8]) {
    let errno = answer(kind, flags, body);
    assert_eq!(errno, 0, "{}", std::io::Error::from_raw_os_error(-errno));
}

/// The kernel's answer, an errno below 0.
fn answer(kind: u16, flags: u16, body: &[u8]) -> i32 {
    let mut message = ((16 + body.len()) as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((REQUEST_ACK | flags).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    let mut answer = [0; 4096];
    // SAFETY: live bytes and their lengths; the descriptor is closed by the one who opened it.
    unsafe {
        let socket = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE);
        let sent = libc::send(socket, message.as_ptr().cast(), message.len(), 0);
        assert_eq!(sent, message.len() as isize);
        assert!(libc::recv(socket, answer.as_mut_ptr().cast(), answer.len(), 0) >= 20);
        libc::close(socket);
    }
    i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]])
}

/// A program at the way out that gives each packet a tag, beside the bytes (Linux 6.6).
fn push_tags(interface: u32, id: u16) -> OwnedFd {
    const PROG_LOAD: i32 = 5;
    const LINK_CREATE: i32 = 28;
    const SCHED_CLS: u32 = 3;
    const TCX_EGRESS: u32 = 47;
    const SKB_VLAN_PUSH: u64 = 18;
    let set = |register: u64, value: u64| 0xb7 | register << 8 | value << 32;
    let program = [
        set(2, u64::from(0x8100_u16.to_be())),
        set(3, u64::from(id)),
        0x85 | SKB_VLAN_PUSH << 32,
        set(0, 0),
        0x95,
    ];
    let license = c"GPL";
    let mut load = [0_u32; 32];
    (load[0], load[1]) = (SCHED_CLS, program.len() as u32);
    load[17] = TCX_EGRESS;
    let pointers = [program.as_ptr() as u64, license.as_ptr() as u64];
    for (at, pointer) in pointers.into_iter().enumerate() {
        (load[2 + 2 * at], load[3 + 2 * at]) = (pointer as u32, (pointer >> 32) as u32);
    }
    let bpf = |command: i32, attributes: &[u32; 32]| {
        // SAFETY: the attributes, and what they point to, outlive the call, which makes a descriptor.
        unsafe {
            let size = size_of_val(attributes);
            let fd = libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size);
            assert!(fd >= 0, "{}", std::io::Error::last_os_error());
            OwnedFd::from_raw_fd(fd as i32)
        }
    };
    let program = bpf(PROG_LOAD, &load);
    let mut link = [0_u32; 32];
    (link[0], link[1], link[2]) = (program.as_raw_fd() as u32, interface, TCX_EGRESS);
    bpf(LINK_CREATE, &link)
}

/// The frames that were captured, once there are so many.
pub fn captured(socket: &OwnedFd, frames: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut frame = vec![0; 4096];
    wait_until("all frames are captured", || {
        loop {
            let (to, room) = (frame.as_mut_ptr().cast(), frame.len());
            // SAFETY: live bytes and their number.
            let length = unsafe { libc::recv(socket.as_raw_fd(), to, room, libc::MSG_DONTWAIT) };
            match usize::try_from(length) {
                Ok(length) => all.push(frame[..length].to_vec()),
                Err(_) => return all.len() >= frames,
            }
        }
    });
    all
}

fn set_option<T>(socket: &OwnedFd, name: i32, value: &T) {
    let bytes = size_of_val(value) as u32;
    let value = std::ptr::from_ref(value).cast();
    // SAFETY: a live value of integers and its length.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, value, bytes) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

/// Keeps the calling thread on a CPU.
pub fn stay_on(cpu: usize) {
    // SAFETY: a set of CPUs consists of integers, and is alive.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &set), 0);
    }
}

/// Whether nothing is in a folder.
pub fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

//! The fork server: an interpreter at its fork point, waiting for requests.
//!
//! It has one thread, owns the socket and its children, and ends when the other end of the socket is closed. Nothing a
//! program prints or does reaches the socket.

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::calls;
use crate::child::{self, Plan};
use crate::descriptors::Own;
use crate::environment;
use crate::interpreter::Interpreter;
use crate::raw::{self, Errno};
use crate::settings::Settings;
use crate::signals::Held;
use crate::socket::{receive, report};
use crate::wire::{
    CHILDREN_MAX, DESCRIPTORS_FIXED, DESCRIPTORS_MAX, FAILED_EXIT, REFUSED_EXIT, Refusal, Report, Request,
    Stage,
};

/// Namespaces that a child may be cloned into, and the launcher for its parent. Not `CLONE_NEWPID`: the program would be
/// the namespace's first process, which ignores signals at their default action. Enter one with setns(2) before.
const FLAGS_ALLOWED: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWNET
    | libc::CLONE_PARENT;

/// Says why there will be no server, and ends the process.
pub(crate) fn refuse(socket: i32, reason: Refusal, detail: i64) -> ! {
    let _gone = report(socket, &Report::Refused { reason, detail }, None);
    raw::exit(REFUSED_EXIT)
}

/// Serves until the socket ends. Returns in each child, and only there.
pub(crate) fn serve(settings: &Settings) {
    let refused = |(reason, detail)| -> ! { refuse(settings.socket, reason, detail) };
    if let Some(closed) = (0..=2).find(|fd| raw::flags(*fd, libc::F_GETFD).is_err()) {
        refused((Refusal::StandardStreams, i64::from(closed)));
    }
    let interpreter = Interpreter::take(settings.preload.as_deref()).unwrap_or_else(|reason| {
        refused((reason, 0));
    });
    // Or every child would print again what is buffered.
    // SAFETY: NULL stands for all streams.
    unsafe { libc::fflush(ptr::null_mut()) };
    match raw::thread_count() {
        Ok(1) => {}
        Ok(count) => refused((Refusal::Threads, count)),
        Err(errno) => refused((Refusal::CountThreads, i64::from(errno))),
    }
    let own = Own::take_stock(settings.socket).unwrap_or_else(|reason| refused(reason));
    let held = Held::take().unwrap_or_else(|errno| refused((Refusal::Signals, i64::from(errno))));
    environment::remove_listed(&settings.hidden);
    let mut server = Server { settings, own, interpreter, children: Children::new(settings.socket) };
    server.run();
    // Here is a child.
    server.interpreter.settle();
    if held.release().is_err() {
        raw::exit(FAILED_EXIT);
    }
}

struct Server<'a> {
    settings: &'a Settings,
    own: Own,
    interpreter: Interpreter,
    children: Children,
}

/// Which side of a fork goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Child,
}

impl Server<'_> {
    /// Returns in a child.
    fn run(&mut self) {
        let socket = self.settings.socket;
        let _unheard = report(socket, &Report::Ready { pid: self.settings.pid }, None);
        loop {
            // A failure is a signal that cannot be held back, or none; both times there is nothing to lose by looking.
            let _failed = raw::poll(self.children.polled());
            // Requests first: whoever asks is waiting, and the dead are not.
            if self.children.has_request() && self.take_request() == Side::Child {
                return;
            }
            self.children.reap(socket);
        }
    }

    fn take_request(&mut self) -> Side {
        let socket = self.settings.socket;
        let mut descriptors = [-1; DESCRIPTORS_MAX];
        let received = match receive(socket, &mut descriptors) {
            Ok(Some(received)) => received,
            Ok(None) => raw::exit(0),
            Err(libc::EINTR | libc::EAGAIN) => return Side::Server,
            Err(_lost) => raw::exit(1),
        };
        let descriptors = descriptors.get(..received.descriptors).unwrap_or_default();
        let side = match received.request {
            Some(request) if descriptors.len() >= DESCRIPTORS_FIXED => self.start(&request, descriptors),
            _ => {
                let id = received.request.map_or(0, |request| request.id);
                failed(socket, id, Stage::Decode, libc::EBADMSG);
                Side::Server
            }
        };
        if side == Side::Server {
            descriptors.iter().for_each(|fd| raw::close(*fd));
        }
        side
    }

    fn start(&mut self, request: &Request, descriptors: &[i32]) -> Side {
        let socket = self.settings.socket;
        let allowed = u64::from(FLAGS_ALLOWED.cast_unsigned());
        if request.clone_flags & !allowed != 0 {
            failed(socket, request.id, Stage::Flags, libc::EINVAL);
            return Side::Server;
        }
        if !self.children.have_room() {
            failed(socket, request.id, Stage::Room, libc::EAGAIN);
            return Side::Server;
        }
        let plan = Plan { server_pid: self.settings.pid, steps: request.steps, descriptors, own: &self.own };
        let fork = Fork { request, plan, socket, forked: Cell::new(Err(libc::ENOSYS)) };
        ASKED_FOR.store(ptr::from_ref(&fork).cast_mut().cast(), Ordering::Relaxed);
        self.interpreter.fork();
        ASKED_FOR.store(ptr::null_mut(), Ordering::Relaxed);
        match fork.forked.get() {
            Ok(Forked::Child) => Side::Child,
            Ok(Forked::Parent { pid }) => {
                self.children.watch(socket, request, pid);
                Side::Server
            }
            Err(errno) => {
                failed(socket, request.id, Stage::Clone, errno);
                Side::Server
            }
        }
    }
}

/// The fork that the server wants while it has the interpreter fork: a pointer to a [`Fork`] of `Server::start`, or
/// null.
static ASKED_FOR: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

struct Fork<'a> {
    request: &'a Request,
    plan: Plan<'a>,
    socket: i32,
    forked: Cell<Result<Forked, Errno>>,
}

#[derive(Clone, Copy, Debug)]
enum Forked {
    Child,
    Parent { pid: i32 },
}

/// Makes the child that a request asks for, if one is being asked for: 0 in the child, else as fork(2). The child is in
/// its place when this returns.
pub(crate) fn fork_asked_for() -> Option<libc::pid_t> {
    let fork = ASKED_FOR.load(Ordering::Relaxed);
    if fork.is_null() {
        return None;
    }
    // SAFETY: `Server::start` keeps it alive and in one place while the pointer is set.
    let fork = unsafe { &*fork.cast_const().cast::<Fork<'_>>() };
    let pid = match clone(fork.request.clone_flags) {
        Ok(pid) => pid,
        Err(errno) => {
            fork.forked.set(Err(errno));
            return Some(-1);
        }
    };
    if pid > 0 {
        fork.forked.set(Ok(Forked::Parent { pid }));
        return Some(pid);
    }
    ASKED_FOR.store(ptr::null_mut(), Ordering::Relaxed);
    fork.forked.set(Ok(Forked::Child));
    if let Err((stage, errno)) = child::settle(&fork.plan) {
        failed(fork.socket, fork.request.id, stage, errno);
        raw::exit(FAILED_EXIT);
    }
    Some(0)
}

/// A plain fork, or with flags a raw clone, which skips the handlers that libraries registered with pthread_atfork(3).
fn clone(flags: u64) -> Result<libc::pid_t, Errno> {
    if flags == 0 {
        let pid = calls::real_fork();
        return if pid < 0 { Err(libc::EAGAIN) } else { Ok(pid) };
    }
    raw::clone_with(flags)
}

fn failed(socket: i32, id: u64, stage: Stage, errno: Errno) {
    let _unheard = report(socket, &Report::Failed { id, stage, errno }, None);
}

/// The children that run, and what the server waits for.
struct Children {
    /// The socket, then one pidfd for each child.
    polled: [libc::pollfd; CHILDREN_MAX + 1],
    /// Request and pid of each, in the same order.
    known: [(u64, i32); CHILDREN_MAX],
    len: usize,
}

impl Children {
    fn new(socket: i32) -> Self {
        let waited_for = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
        Self { polled: [waited_for; CHILDREN_MAX + 1], known: [(0, 0); CHILDREN_MAX], len: 0 }
    }

    fn polled(&mut self) -> &mut [libc::pollfd] {
        self.polled.get_mut(..=self.len).unwrap_or_default()
    }

    fn has_request(&self) -> bool {
        self.polled[0].revents != 0
    }

    fn have_room(&self) -> bool {
        self.len < CHILDREN_MAX
    }

    /// Reports a new child and waits for its end, unless it is a child of the launcher's.
    fn watch(&mut self, socket: i32, request: &Request, pid: i32) {
        let pidfd = match raw::open_process(pid) {
            Ok(pidfd) => pidfd,
            Err(errno) => {
                // SAFETY: takes plain numbers; the child was not reaped, so the number is still its own.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                failed(socket, request.id, Stage::Watch, errno);
                return;
            }
        };
        let _unheard = report(socket, &Report::Started { id: request.id, pid }, Some(pidfd));
        if request.clone_flags & u64::from(libc::CLONE_PARENT.cast_unsigned()) != 0 {
            raw::close(pidfd);
            return;
        }
        self.known[self.len] = (request.id, pid);
        self.len += 1;
        self.polled[self.len] = libc::pollfd { fd: pidfd, events: libc::POLLIN, revents: 0 };
    }

    /// Reports and forgets all that have ended.
    fn reap(&mut self, socket: i32) {
        let mut index = 0;
        while index < self.len {
            let (id, pid) = self.known[index];
            let has_ended = self.polled[index + 1].revents != 0;
            let Some((status, usage)) = has_ended.then(|| raw::reap(pid)).flatten() else {
                index += 1;
                continue;
            };
            raw::close(self.polled[index + 1].fd);
            self.known[index] = self.known[self.len - 1];
            self.polled[index + 1] = self.polled[self.len];
            self.len -= 1;
            let ended = Report::Ended {
                id,
                status,
                user_us: microseconds(usage.ru_utime),
                system_us: microseconds(usage.ru_stime),
                max_rss_kib: usage.ru_maxrss.cast_unsigned(),
            };
            let _unheard = report(socket, &ended, None);
        }
    }
}

fn microseconds(time: libc::timeval) -> u64 {
    (time.tv_sec * 1_000_000 + time.tv_usec).cast_unsigned()
}

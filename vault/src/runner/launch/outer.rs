//! The helper between the daemon and a task's namespace: it outlives neither. Its life is one loop
//! over three descriptors: the daemon's socket, the first process's socket, and the first process
//! itself.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use vault_memory::sys;

use super::super::channel::{self, Message, Wait};
use super::super::control::{Report, Request, TaskEnd};
use super::super::error::{At, Failure, Step};
use super::{INIT, LAUNCH, NAME, SELF, next, report, request, upstream};

/// Runs the helper. Its exit code says nothing: the daemon listens to its reports.
pub(super) fn run() -> ExitCode {
    let end = Helper::begin().and_then(Helper::watch);
    if let Err(failure) = end {
        // The daemon may be the one that is gone; then nobody is left to be told.
        report(&Report::Failed(failure), &[]).ok();
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

struct Helper {
    init: Child,
    /// The first process, as a descriptor: no signal can hit a later process of the same number.
    init_process: OwnedFd,
    /// Gone once the first process has closed its side.
    init_socket: Option<OwnedFd>,
    /// The command itself, once it runs.
    command: Option<OwnedFd>,
    /// When everything is killed.
    deadline: Option<Instant>,
    /// How the command ended, if the first process could still tell.
    end: Option<TaskEnd>,
    has_failed: bool,
}

impl Helper {
    fn begin() -> Result<Self, Failure> {
        sys::close_on_exec_from(3).at(Step::Descriptors, "close_range")?;
        std::env::set_current_dir("/").at(Step::Session, "/")?;
        forget_oom_rank().at(Step::Session, "oom_score_adj")?;
        let begin = next(upstream(), Wait::Yes)?;
        let begin = begin.ok_or_else(|| Failure::new(Step::Message, "begin", Errno::PIPE))?;
        sys::unshare_pids_and_ipc().at(Step::Namespaces, "unshare")?;
        let (socket, theirs) = channel::pair().at(Step::Init, "socketpair")?;
        let init = Command::new(SELF)
            .arg0(NAME)
            .args([LAUNCH, INIT])
            .env_clear()
            .stdin(Stdio::from(theirs))
            .spawn()
            .at(Step::Init, "exec")?;
        let mut helper = Self::around(init, socket)?;
        helper.pass_down(&begin)?;
        Ok(helper)
    }

    fn around(mut init: Child, socket: OwnedFd) -> Result<Self, Failure> {
        let opened = rustix::process::pidfd_open(Pid::from_child(&init), PidfdFlags::empty());
        if opened.is_err() {
            init.kill().ok();
        }
        Ok(Self {
            init_process: opened.at(Step::Init, "pidfd_open")?,
            init,
            init_socket: Some(socket),
            command: None,
            deadline: None,
            end: None,
            has_failed: false,
        })
    }

    /// Serves both sides until the first process is gone, and everything in its namespace with it.
    fn watch(mut self) -> Result<(), Failure> {
        let mut daemon_lives = true;
        loop {
            let ready = self.wait(daemon_lives)?;
            if ready.init_said && self.hear_init().is_err() {
                self.kill();
            }
            if ready.init_ended {
                return self.conclude();
            }
            if ready.daemon_said && !self.hear_daemon().unwrap_or(false) {
                daemon_lives = false;
                self.kill();
            }
            if self.deadline.is_some_and(|at| at <= Instant::now()) {
                self.deadline = None;
                self.kill();
            }
        }
    }

    fn wait(&self, daemon_lives: bool) -> Result<Ready, Failure> {
        let left = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        // Rounded up: a wait that ends too early would only come back here.
        let left = left.map(|left| left.saturating_add(Duration::from_millis(1)));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let upstream = upstream();
        let nothing = PollFlags::empty();
        let mut polled = vec![PollFd::new(&self.init_process, PollFlags::IN)];
        // A descriptor that is not asked about stands as the process itself, with no events of its
        // own.
        let init_socket = self.init_socket.as_ref().unwrap_or(&self.init_process);
        let wanted = if self.init_socket.is_some() { PollFlags::IN } else { nothing };
        polled.push(PollFd::new(init_socket, wanted));
        if daemon_lives {
            polled.push(PollFd::new(&upstream, PollFlags::IN));
        }
        match rustix::event::poll(&mut polled, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Failure::new(Step::Message, "poll", errno)),
        }
        let is_ready = |at: usize| polled.get(at).is_some_and(|fd| !fd.revents().is_empty());
        Ok(Ready {
            init_ended: is_ready(0),
            init_said: self.init_socket.is_some() && is_ready(1),
            daemon_said: is_ready(2),
        })
    }

    /// Takes one message of the first process.
    fn hear_init(&mut self) -> Result<(), Failure> {
        let Some(socket) = &self.init_socket else { return Ok(()) };
        let Some(message) = next(socket, Wait::No)? else {
            self.init_socket = None;
            return Ok(());
        };
        let unreadable = |_| Failure::new(Step::Message, "report", Errno::BADMSG);
        match Report::decode(&message.bytes).map_err(unreadable)? {
            Report::MapIds { first, count } => self.map_ids(first, count),
            Report::Ready { .. } => report(&Report::Ready { init_pid: self.init.id() }, &[]),
            Report::Started => {
                self.command = message.descriptors.into_iter().next();
                report(&Report::Started, &[])
            }
            Report::Failed(failure) => self.fail(failure),
            Report::Ended(end) => {
                self.end = Some(end);
                Ok(())
            }
        }
    }

    /// Takes one message of the daemon; false when the daemon is gone.
    fn hear_daemon(&mut self) -> Result<bool, Failure> {
        let Some(message) = next(upstream(), Wait::No)? else { return Ok(false) };
        match request(&message)? {
            Request::Go => self.pass_down(&message)?,
            Request::Signal { signal } => self.signal(signal),
            Request::Stop { signal, grace_ms } => {
                self.signal(signal);
                let asked = Instant::now().checked_add(Duration::from_millis(grace_ms));
                self.deadline = self.deadline.into_iter().chain(asked).min();
            }
            Request::Begin | Request::Mapped => {
                return Err(Failure::new(Step::Message, "order of requests", Errno::PROTO));
            }
        }
        Ok(true)
    }

    fn pass_down(&mut self, message: &Message) -> Result<(), Failure> {
        let Some(socket) = &self.init_socket else { return Ok(()) };
        let descriptors: Vec<BorrowedFd<'_>> =
            message.descriptors.iter().map(AsFd::as_fd).collect();
        channel::send(socket, &message.bytes, &descriptors, Wait::Yes)
            .at(Step::Message, "downwards")
    }

    /// Writes the map of the new user namespace: only a process of the one above may choose it
    /// freely.
    fn map_ids(&mut self, first: u32, count: u32) -> Result<(), Failure> {
        let map = format!("0 {first} {count}\n");
        for file in ["uid_map", "gid_map"] {
            let path = format!("/proc/{}/{file}", self.init.id());
            if let Err(failure) = fs::write(path, &map).at(Step::IdMap, file) {
                self.fail(failure)?;
                self.kill();
                return Ok(());
            }
        }
        self.pass_down(&Message { bytes: Request::Mapped.encode(), descriptors: Vec::new() })
    }

    fn fail(&mut self, failure: Failure) -> Result<(), Failure> {
        self.has_failed = true;
        report(&Report::Failed(failure), &[])
    }

    /// Signals the command. One that is over, or a number that is no signal, changes nothing.
    fn signal(&self, signal: i32) {
        if let Some(command) = &self.command {
            sys::signal_process(command.as_fd(), signal).ok();
        }
    }

    /// Ends the first process; the kernel then ends all others of its namespace.
    fn kill(&self) {
        rustix::process::pidfd_send_signal(&self.init_process, Signal::KILL).ok();
    }

    fn conclude(mut self) -> Result<(), Failure> {
        while self.init_socket.is_some() && self.hear_init().is_ok() {}
        let status = self.init.wait().at(Step::Init, "wait")?;
        if self.has_failed {
            return Ok(());
        }
        let killed = std::os::unix::process::ExitStatusExt::signal(&status);
        match self.end.or_else(|| killed.map(TaskEnd::Signalled)) {
            Some(end) => report(&Report::Ended(end), &[]),
            None => Err(Failure::new(Step::Init, "ended without a word", Errno::CHILD)),
        }
    }
}

struct Ready {
    init_ended: bool,
    init_said: bool,
    daemon_said: bool,
}

/// The daemon may be protected from the kernel's hunt for memory; its tasks are not.
fn forget_oom_rank() -> std::io::Result<()> {
    let path = "/proc/self/oom_score_adj";
    let rank = fs::read_to_string(path)?;
    if rank.starts_with('-') { fs::write(path, "0") } else { Ok(()) }
}

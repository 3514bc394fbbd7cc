//! A program that runs while the benchmark measures: on one core, and gone when it is dropped.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::command::CommandLine;

/// How long a program may take to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// The two cores of the machine that the goals speak of.
#[derive(Clone, Copy)]
pub(crate) enum Core {
    /// The candidates, of which one works at a time.
    Proxies,
    /// The load, the upstream and the store.
    Rest,
}

/// How to start a program.
pub(crate) struct Launch {
    /// The program and its arguments.
    pub(crate) words: Vec<String>,
    /// Its whole environment but for `PATH`.
    pub(crate) environment: Vec<(String, String)>,
    /// Where it will listen.
    pub(crate) address: SocketAddr,
    /// Whether it listens before it can serve, and says at `/readyz` when it can.
    pub(crate) tells_when_ready: bool,
    /// Where it runs.
    pub(crate) core: Core,
    /// Where its output goes.
    pub(crate) log: PathBuf,
}

/// A running program.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts the program and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// Fails with the end of the program's log when it ends instead, or takes too long.
    pub(crate) fn start(launch: &Launch) -> Result<Self> {
        let log = File::options().create(true).append(true).open(&launch.log)?;
        let child = pinned(launch.core, &launch.words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", launch.words.join(" ")))?;
        let mut server = Self { child, log: launch.log.clone() };
        server.wait_until_listening(launch)?;
        Ok(server)
    }

    /// Its process; what it forks are children of it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    ///
    /// Fails when it does not end.
    pub(crate) fn stop(mut self) -> Result<()> {
        let asked = CommandLine::new("kill -TERM").arg(self.pid().to_string()).succeeds();
        let deadline = Instant::now() + PATIENCE;
        while asked && Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(POLL);
        }
        bail!("process {} does not end when asked to", self.pid());
    }

    fn wait_until_listening(&mut self, launch: &Launch) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_up(launch) {
            let ended = self.child.try_wait()?;
            if ended.is_some() || deadline <= Instant::now() {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("{} does not listen; it said:\n{log}", launch.words.join(" "));
            }
            sleep(POLL);
        }
        Ok(())
    }
}

/// Whether requests can be sent to it.
fn is_up(launch: &Launch) -> bool {
    let Ok(mut socket) = TcpStream::connect(launch.address) else { return false };
    if !launch.tells_when_ready {
        return true;
    }
    let asked =
        socket.write_all(b"GET /readyz HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok()
        && socket.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

impl Drop for Server {
    /// The orderly way first: nginx leaves its worker behind when it is killed.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            CommandLine::new("kill -TERM").arg(self.pid().to_string()).succeeds();
            sleep(Duration::from_millis(300));
            self.child.kill().ok(); // It may have ended meanwhile, which is what we want.
            self.child.wait().ok();
        }
    }
}

/// A command that runs on one core, with as many open files as this user may have.
pub(crate) fn pinned(core: Core, words: &[String]) -> Command {
    let core = match core {
        Core::Proxies => "0",
        Core::Rest => "1",
    };
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n $(ulimit -H -n); exec taskset -c \"$0\" \"$@\"", core])
        .args(words);
    command
}

/// A loopback address that was free a moment ago.
///
/// # Errors
///
/// Fails when the machine has no free port.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

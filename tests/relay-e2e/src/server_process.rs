//! The running server: its process, and everything that it prints.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use relay_testkit::Deadline;

use crate::binary::server_binary;

/// How long a server that was asked to stop may take.
const GRACE: Duration = Duration::from_secs(10);

/// A server. Killed when dropped.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    readers: Vec<JoinHandle<()>>,
}

/// What servers have printed, standard output and standard error together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Appends everything that comes from `source`, until its end.
    fn keep(&self, mut source: impl Read + Send + 'static) -> JoinHandle<()> {
        let kept = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = source.read(&mut piece) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&piece[..count]);
            }
        })
    }
}

impl ServerProcess {
    /// Starts `relay-server serve` in this environment and no other.
    pub(crate) fn spawn(environment: &BTreeMap<String, String>, printed: &Printed) -> Self {
        let mut child = Command::new(server_binary())
            .arg("serve")
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("relay-server does not start: {error}"));
        let stdout = child.stdout.take().map(|source| printed.keep(source));
        let stderr = child.stderr.take().map(|source| printed.keep(source));
        Self { child, readers: stdout.into_iter().chain(stderr).collect() }
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Ends it with SIGKILL, and waits until it is gone and all that it printed is read.
    pub(crate) fn kill(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            panic!("relay-server does not die: {error}");
        }
        self.read_to_the_end();
    }

    /// Ends it with SIGTERM. `true`: it said that all went well.
    pub(crate) fn terminate(&mut self) -> bool {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        assert!(asked.is_ok_and(|status| status.success()), "kill -TERM {id} failed");
        Deadline::after(GRACE).until_blocking("relay-server stops when asked", || self.has_ended());
        self.read_to_the_end();
        self.child.wait().is_ok_and(|status| status.success())
    }

    fn read_to_the_end(&mut self) {
        for reader in self.readers.drain(..) {
            assert!(reader.join().is_ok(), "what relay-server printed could not be read");
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            // Nothing can be done about a child that cannot be waited for.
            let _status = self.child.wait();
        }
    }
}

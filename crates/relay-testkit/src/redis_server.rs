//! A real Redis for a test: started for it on a socket of its own and gone with it, or one that
//! `RELAY_TEST_REDIS_URL` names.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Deadline;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to answer one command.
const ANSWER: Duration = Duration::from_secs(2);

/// Where a private server listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listen {
    /// On a socket in its own folder: nothing to collide with.
    UnixSocket,
    /// On a free loopback port.
    Tcp,
    /// On a free loopback port, by TLS, with a certificate for `localhost` and `127.0.0.1` of the authority
    /// that [`tls_authority`] gives.
    Tls,
}

/// The certificate of the authority that vouches for servers that [`Listen::Tls`], as PEM. Nobody else
/// trusts it, and nobody has its key.
#[must_use]
pub fn tls_authority() -> &'static str {
    include_str!("../fixtures/tls/ca.pem")
}

/// What a private server keeps when it is restarted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Persistence {
    /// Nothing.
    None,
    /// Everything that it has acknowledged.
    AppendOnly,
}

/// A Redis that nobody else uses while this value lives.
///
/// With `RELAY_TEST_REDIS_URL` set, [`start`](Self::start) uses that server instead of a private one.
/// Relay's layout has fixed names, so the database that the URL names is **flushed** at every start, and
/// a lock file makes tests that share it wait for each other: name one that holds nothing of value.
#[derive(Debug)]
pub struct RedisServer {
    url: String,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Private(Private),
    /// The lock is held until this is dropped.
    Named(#[expect(dead_code, reason = "held, never read")] File),
}

#[derive(Debug)]
struct Private {
    process: Child,
    folder: tempfile::TempDir,
    listen: Listen,
    port: u16,
    persistence: Persistence,
}

impl RedisServer {
    /// A server that forgets everything: the one that `RELAY_TEST_REDIS_URL` names, or a private one on
    /// a unix socket.
    ///
    /// # Panics
    ///
    /// If there is no `redis-server` on this machine, with the command that installs it.
    #[must_use]
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test has no other configuration")]
        let named = std::env::var("RELAY_TEST_REDIS_URL");
        match named {
            Ok(url) if !url.is_empty() => Self::named(url),
            Ok(_) | Err(_) => Self::private(Listen::UnixSocket, Persistence::None),
        }
    }

    /// A private server on a free loopback port, for what speaks TCP only.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn tcp() -> Self {
        Self::private(Listen::Tcp, Persistence::None)
    }

    /// A server of its own, whatever the environment names: it can be frozen and restarted.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn private(listen: Listen, persistence: Persistence) -> Self {
        let folder = tempfile::tempdir()
            .unwrap_or_else(|error| panic!("no temporary folder for Redis: {error}"));
        let port = if listen == Listen::UnixSocket { 0 } else { free_port() };
        let url = match listen {
            Listen::UnixSocket => format!("unix://{}", folder.path().join("redis.sock").display()),
            Listen::Tcp => format!("redis://127.0.0.1:{port}/"),
            Listen::Tls => format!("rediss://127.0.0.1:{port}/"),
        };
        let process = spawn(folder.path(), listen, port, persistence);
        let mut private = Private { process, folder, listen, port, persistence };
        private.wait_until_it_answers();
        Self { url, origin: Origin::Private(private) }
    }

    /// Where it is, in the form that clients take.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills the server and starts it again at the same place. Clients lose their connections.
    ///
    /// # Panics
    ///
    /// If the server is not private, or does not come back.
    pub fn restart(&mut self) {
        let private = self.private_or_panic();
        private.stop();
        private.process =
            spawn(private.folder.path(), private.listen, private.port, private.persistence);
        private.wait_until_it_answers();
    }

    /// Kills the server. [`Self::restart`] starts it again.
    ///
    /// # Panics
    ///
    /// If the server is not private, or does not die.
    pub fn kill(&mut self) {
        self.private_or_panic().stop();
    }

    /// Stops the server's clock: connections stay open, nothing is answered.
    ///
    /// # Panics
    ///
    /// If the server is not private.
    pub fn freeze(&mut self) {
        self.private_or_panic().signal("-STOP");
    }

    /// Lets a frozen server go on.
    ///
    /// # Panics
    ///
    /// If the server is not private.
    pub fn thaw(&mut self) {
        self.private_or_panic().signal("-CONT");
    }

    fn named(url: String) -> Self {
        let path = std::env::temp_dir().join("relay-test-redis.lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .and_then(|file| file.lock().map(|()| file))
            .unwrap_or_else(|error| panic!("cannot lock {}: {error}", path.display()));
        flush(&url);
        Self { url, origin: Origin::Named(lock) }
    }

    fn private_or_panic(&mut self) -> &mut Private {
        match &mut self.origin {
            Origin::Private(private) => private,
            Origin::Named(_) => {
                panic!("this test needs a server of its own: use `RedisServer::private`")
            }
        }
    }
}

impl Private {
    fn wait_until_it_answers(&mut self) {
        Deadline::after(PATIENCE).until_blocking("redis-server answers", || {
            if let Ok(Some(status)) = self.process.try_wait() {
                panic!("redis-server ended at once: {status}");
            }
            let connect = || TcpStream::connect(("127.0.0.1", self.port));
            match self.listen {
                Listen::Tcp => connect().is_ok_and(|s| ping(&s, &s)),
                // It listens once it is ready; asking it takes more than this crate knows.
                Listen::Tls => connect().is_ok(),
                Listen::UnixSocket => UnixStream::connect(self.folder.path().join("redis.sock"))
                    .is_ok_and(|s| ping(&s, &s)),
            }
        });
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let done = Command::new("kill").args([signal, &id]).status();
        assert!(done.is_ok_and(|status| status.success()), "kill {signal} {id} failed");
    }

    fn stop(&mut self) {
        // Killed, not asked: a test's server has nothing to say goodbye to, and a frozen one could not.
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            panic!("redis-server does not stop: {error}");
        }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if self.process.kill().is_ok() {
            // Nothing can be done about a child that cannot be waited for.
            let _status = self.process.wait();
        }
    }
}

fn spawn(folder: &Path, listen: Listen, port: u16, persistence: Persistence) -> Child {
    let appendonly = if persistence == Persistence::AppendOnly { "yes" } else { "no" };
    let port = port.to_string();
    let plain_port = if listen == Listen::Tls { "0" } else { &port };
    let mut command = Command::new("redis-server");
    command
        .current_dir(folder)
        .args(["--port", plain_port, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"])
        .args(["--appendonly", appendonly, "--appendfsync", "always"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match listen {
        Listen::Tcp => {}
        Listen::UnixSocket => {
            command.arg("--unixsocket").arg(folder.join("redis.sock"));
        }
        Listen::Tls => {
            let file =
                |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name);
            command.args(["--tls-port", &port, "--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(file("server.pem"));
            command.arg("--tls-key-file").arg(file("server.key"));
            command.arg("--tls-ca-cert-file").arg(file("ca.pem"));
        }
    }
    command.spawn().unwrap_or_else(|error| {
        assert!(
            error.kind() != ErrorKind::NotFound,
            "this test needs redis-server; install it with: apt-get install redis-server \
             (or name a server to flush in RELAY_TEST_REDIS_URL)"
        );
        panic!("redis-server does not start: {error}")
    })
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .unwrap_or_else(|error| panic!("no free loopback port: {error}"))
        .port()
}

fn ping(mut input: impl Read, output: impl Write) -> bool {
    ask(&mut input, output, "PING").is_some_and(|answer| answer.starts_with("+PONG"))
}

fn ask(input: &mut impl Read, mut output: impl Write, command: &str) -> Option<String> {
    output.write_all(format!("{command}\r\n").as_bytes()).ok()?;
    let mut answer = [0; 256];
    let length = input.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// Empties the database that `url` names, which is of the form `redis://[[user]:password@]host[:port][/db]`.
fn flush(url: &str) {
    let Some(rest) = url.strip_prefix("redis://") else {
        panic!("RELAY_TEST_REDIS_URL must begin with redis://");
    };
    let (credentials, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (address, database) = place.split_once('/').unwrap_or((place, ""));
    let address =
        if address.contains(':') { address.to_owned() } else { format!("{address}:6379") };
    let stream = TcpStream::connect(&address)
        .and_then(|stream| stream.set_read_timeout(Some(ANSWER)).map(|()| stream))
        .unwrap_or_else(|error| panic!("RELAY_TEST_REDIS_URL: no Redis at {address}: {error}"));
    let password = credentials.rsplit_once(':').map(|(_, password)| password);
    let login = password.map(|password| format!("AUTH {password}"));
    let database = if database.is_empty() { "0" } else { database };
    let commands = login.into_iter().chain([format!("SELECT {database}"), "FLUSHDB".to_owned()]);
    for command in commands {
        let answer = ask(&mut &stream, &stream, &command).unwrap_or_default();
        assert!(
            answer.starts_with("+OK"),
            "RELAY_TEST_REDIS_URL: cannot flush database {database}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(server: &RedisServer) -> bool {
        let Origin::Private(private) = &server.origin else { return false };
        let answer = |stream: &UnixStream| {
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            ping(stream, stream)
        };
        UnixStream::connect(private.folder.path().join("redis.sock")).is_ok_and(|s| answer(&s))
    }

    #[test]
    fn a_private_server_freezes_thaws_restarts_and_ends() {
        let mut server = RedisServer::private(Listen::UnixSocket, Persistence::None);
        assert!(answers(&server));
        server.freeze();
        assert!(!answers(&server));
        server.thaw();
        assert!(answers(&server));
        server.restart();
        assert!(answers(&server));
        let Origin::Private(private) = &server.origin else { panic!("it is private") };
        let socket = private.folder.path().join("redis.sock");
        drop(server);
        assert!(UnixStream::connect(socket).is_err());
    }

    #[test]
    fn a_server_on_tcp_says_where() {
        let server = RedisServer::tcp();
        let address = server.url().trim_start_matches("redis://").trim_end_matches('/').to_owned();
        let stream = TcpStream::connect(address).unwrap();
        assert!(ping(&stream, &stream));
        flush(server.url());
    }
}

//! `fleet-sim host`: one simulated host on a real Unix socket, and its ECS agent's introspection on a loopback port, for
//! the real `host-bridge` and for authors of other clients.
//!
//! The socket is there while the host is up, as `/run/api.sock` is: `/run` is empty after a boot.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use semver::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::clock::SimClock;
use crate::host::introspection::{Metadata, Task, Tasks};
use crate::host::{Host, HostEvent, HostSpec, NoAnswer, Repository, Request, Response};
use crate::pipe::{on_the_wire, serve};

/// The server closes a connection that is idle for so long (docs/facts/host-api.md#endpoints), and one that has never asked
/// anything it answers 408 (docs/facts/host-api.md#trap-12).
const IDLE: Duration = Duration::from_secs(5);
/// Of the host's own state.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A host and where it is served.
#[derive(Debug)]
pub struct HostServer {
    /// Path of the socket.
    pub socket: PathBuf,
    /// Where the ECS agent's introspection listens; no ECS agent where it is `None`.
    pub introspection: Option<SocketAddr>,
    /// How many tasks the ECS agent runs.
    pub tasks: u32,
    /// How many simulated seconds pass in a second.
    pub time_scale: u32,
}

/// Why a host cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HostServerError {
    /// Something else is at the path.
    #[error("{path} exists and is no socket; name another path")]
    NotOurs { path: PathBuf },
    /// The socket.
    #[error("failed to listen on {path}")]
    Socket {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The port.
    #[error("failed to listen on {address}")]
    Port {
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

#[derive(Debug)]
struct Inside {
    host: Host,
    repository: Repository,
}

#[derive(Debug)]
struct Served {
    inside: Mutex<Inside>,
    clock: SimClock,
    tasks: u32,
}

impl HostServer {
    /// Serves a host until `stop` is ready; `say` gets a line for everything that happens on it.
    ///
    /// # Errors
    /// [`HostServerError`] where it cannot listen.
    pub async fn serve(
        &self,
        spec: HostSpec,
        releases: Vec<Version>,
        stop: impl Future<Output = ()>,
        say: impl Fn(&str),
    ) -> Result<(), HostServerError> {
        let clock = SimClock::start(Timestamp::now(), self.time_scale);
        let repository = Repository::of(&releases);
        let host = Host::new(spec, 7, clock.now());
        let served = Arc::new(Served { inside: Mutex::new(Inside { host, repository }), clock, tasks: self.tasks });
        let port = match self.introspection {
            Some(address) => {
                Some(TcpListener::bind(address).await.map_err(|source| HostServerError::Port { address, source })?)
            }
            None => None,
        };
        let mut socket = Some(self.listen()?);
        let (mut connections, mut agents) = (JoinSet::new(), JoinSet::new());
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = accept(socket.as_ref()) => match accepted {
                    Ok(stream) => {
                        let served = Arc::clone(&served);
                        connections.spawn(talk(stream, served));
                    }
                    Err(error) => say(&format!("a connection could not be accepted: {error}")),
                },
                accepted = accept_tcp(port.as_ref()) => match accepted {
                    Ok(stream) if served.agent_listens() => {
                        let served = Arc::clone(&served);
                        agents.spawn(serve(stream, Some(IDLE), move |asked| {
                            std::future::ready(Some(served.introspection(asked.head.uri.path())))
                        }));
                    }
                    Ok(_) => {}
                    Err(error) => say(&format!("a connection could not be accepted: {error}")),
                },
                Some(_) = connections.join_next() => {}
                Some(_) = agents.join_next() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            for event in served.advance() {
                say(&told(&event));
            }
            match (served.is_up(), &socket) {
                (false, Some(_)) => {
                    connections.abort_all();
                    socket = None;
                    self.remove()?;
                }
                (true, None) => socket = Some(self.listen()?),
                (true, Some(_)) | (false, None) => {}
            }
        }
        drop(socket);
        self.remove()
    }

    /// A socket that an earlier server left behind is taken over.
    fn listen(&self) -> Result<UnixListener, HostServerError> {
        match std::fs::symlink_metadata(&self.socket) {
            Ok(found) if found.file_type().is_socket() => self.remove()?,
            Ok(_) => return Err(HostServerError::NotOurs { path: self.socket.clone() }),
            Err(_) => {}
        }
        let listener = UnixListener::bind(&self.socket).map_err(|source| self.trouble(source))?;
        let mode = std::fs::Permissions::from_mode(0o660);
        std::fs::set_permissions(&self.socket, mode).map_err(|source| self.trouble(source))?;
        Ok(listener)
    }

    fn remove(&self) -> Result<(), HostServerError> {
        match std::fs::remove_file(&self.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.trouble(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn trouble(&self, source: io::Error) -> HostServerError {
        HostServerError::Socket { path: self.socket.clone(), source }
    }
}

async fn talk(stream: UnixStream, served: Arc<Served>) {
    let (mut read, mut write) = stream.into_split();
    let mut first = [0];
    match tokio::time::timeout(IDLE, read.read_exact(&mut first)).await {
        Ok(Ok(_)) => {
            let stream = tokio::io::join(io::Cursor::new(first).chain(read), write);
            serve(stream, Some(IDLE), move |asked| on_the_wire(served.api(&asked.to_host()))).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a connection was closed before it asked anything"),
        Err(_) => {
            let silence = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            if let Err(error) = write.write_all(silence).await {
                tracing::debug!(%error, "a silent connection was closed by the other side");
            }
        }
    }
}

async fn accept(listener: Option<&UnixListener>) -> io::Result<UnixStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn accept_tcp(listener: Option<&TcpListener>) -> io::Result<tokio::net::TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

impl Served {
    fn with<T>(&self, act: impl FnOnce(&mut Inside, Timestamp) -> T) -> T {
        act(&mut self.inside.lock().unwrap_or_else(PoisonError::into_inner), self.clock.now())
    }

    fn advance(&self) -> Vec<HostEvent> {
        self.with(|Inside { host, repository }, now| host.advance(now, repository))
    }

    fn is_up(&self) -> bool {
        self.with(|inside, now| inside.host.is_up(now) && !inside.host.spec().api_down)
    }

    fn agent_listens(&self) -> bool {
        self.with(|inside, now| inside.host.ecs_agent_up(now))
    }

    fn api(&self, request: &Request) -> Result<Response, NoAnswer> {
        self.with(|Inside { host, repository }, now| host.handle(now, repository, request))
    }

    /// The rendering cannot fail; if it did the port would answer 500.
    fn introspection(&self, path: &str) -> Response {
        const ARN: &str = "arn:aws:ecs:eu-central-1:111122223333:container-instance/simulated/0123456789abcdef";
        let rendered = match path {
            "/v1/metadata" => Metadata {
                cluster: "simulated".to_owned(),
                container_instance_arn: Some(ARN.to_owned()),
                version: "Amazon ECS Agent - v1.98.0 (*1a2b3c4d)".to_owned(),
            }
            .render(),
            "/v1/tasks" => Tasks { tasks: (0..self.tasks).map(task).collect() }.render(),
            _ => return Response { status: 404, content_type: None, body: String::new() },
        };
        match rendered {
            Ok(body) => Response { status: 200, content_type: Some("application/json"), body },
            Err(error) => Response { status: 500, content_type: None, body: error.to_string() },
        }
    }
}

fn task(number: u32) -> Task {
    Task {
        arn: format!("arn:aws:ecs:eu-central-1:111122223333:task/simulated/{number:032x}"),
        desired_status: "RUNNING".to_owned(),
        known_status: "RUNNING".to_owned(),
        family: "web".to_owned(),
        version: "1".to_owned(),
        containers: Vec::new(),
    }
}

fn told(event: &HostEvent) -> String {
    match event {
        HostEvent::CommandEnded { command, success: true, .. } => format!("{command:?} ended well"),
        HostEvent::CommandEnded { command, success: false, .. } => format!("{command:?} failed"),
        HostEvent::WorkerKilled { command, .. } => format!("{command:?} was killed"),
        HostEvent::SettingsApplied { .. } => "settings applied".to_owned(),
        HostEvent::WentDown { .. } => "the host goes down".to_owned(),
        HostEvent::BootFailed { version, .. } => format!("{version} did not boot; the boot loader tries again"),
        HostEvent::Booted { version, .. } => format!("booted {version}"),
        HostEvent::WentDark { .. } => "the host does not come back".to_owned(),
        HostEvent::SsmAgentUp { .. } => "the SSM agent is up".to_owned(),
        HostEvent::EcsAgentUp { .. } => "the ECS agent is up".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a host on a socket answers to these bytes.
    async fn answer(sent: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api.sock");
        let server = HostServer { socket: socket.clone(), introspection: None, tasks: 0, time_scale: 1 };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = server.serve(HostSpec::default(), Vec::new(), async { stopped.await.unwrap() }, |_| {});
        let asked = async {
            while !socket.exists() {
                tokio::task::yield_now().await;
            }
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            stop.send(()).unwrap();
            answer
        };
        let (served, answer) = tokio::join!(served, asked);
        served.unwrap();
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_answered_408_and_a_long_head_431() {
        let silent = answer("").await;
        assert!(silent.starts_with("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n"), "{silent:?}");
        let with_fields = |count: usize| {
            let fields: String = (1..count).map(|n| format!("x-{n}: y\r\n")).collect();
            format!("GET /os HTTP/1.1\r\n{fields}connection: close\r\n\r\n")
        };
        assert!(answer(&with_fields(96)).await.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(answer(&with_fields(97)).await.starts_with("HTTP/1.1 431 "));
        let head = answer("HEAD /os HTTP/1.1\r\nconnection: close\r\n\r\n").await;
        assert!(
            head.starts_with("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
    }
}
